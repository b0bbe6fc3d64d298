"""Other builders whose results count as right: Debian's buildah, and docker's classic builder."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import subprocess
from pathlib import Path

from support import image_compare, machine
from support.services import Docker, unmount_below


class Buildah:
    """Debian's `buildah` with a store of its own."""

    name = "buildah"
    known = tuple(
        image_compare.Allowed(path, "only theirs", "a mount point that it leaves behind after a RUN")
        for path in ("dev", "etc/hostname", "etc/hosts", "etc/resolv.conf", "proc", "run", "sys")
    )
    """How its images always differ."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        program = machine.require("buildah")
        self.argv = [program, "--root", str(folder / "root"), "--runroot", str(folder / "run")]
        self.argv += ["--storage-driver", "overlay"]
        self.version = machine.run(program, "--version").stdout.strip()

    def build(self, dockerfile: Path, context: Path, args: list[str], out: Path) -> subprocess.CompletedProcess[str]:
        """Build, and export to a Docker archive at `out` when that worked."""
        tag = f"judged-{out.stem.lower()}"
        done = machine.run(
            *self.argv,
            *("bud", "--format=docker", "--isolation=chroot", "--network=host", "--tls-verify=false", "--no-cache"),
            *(*args, "-f", dockerfile, "-t", tag, context),
            check=False,
            timeout=900,
        )
        if done.returncode == 0:
            machine.run(*self.argv, "push", tag, f"docker-archive:{out}")
            machine.run(*self.argv, "rmi", "-f", tag, check=False)
        return done

    def close(self) -> None:
        """Unmount what it has left mounted."""
        unmount_below(self.folder)
        machine.run("rm", "-rf", self.folder, check=False)


class ClassicDocker:
    """dockerd's own builder (without BuildKit)."""

    name = "docker"
    known: tuple[image_compare.Allowed, ...] = ()
    """How its images always differ."""

    def __init__(self, docker: Docker) -> None:
        self.docker = docker
        self.version = docker.run("version", "--format", "docker {{.Server.Version}}").stdout.strip()

    def build(self, dockerfile: Path, context: Path, args: list[str], out: Path) -> subprocess.CompletedProcess[str]:
        """Build, and export to a Docker archive at `out` when that worked."""
        tag = f"judged-{out.stem.lower()}"
        done = self.docker.run(
            *("build", "--network=host", "--no-cache", "--force-rm", *args, "-f", dockerfile, "-t", tag, context),
            check=False,
            timeout=900,
        )
        if done.returncode == 0:
            self.docker.run("save", "-o", out, tag)
            self.docker.run("rmi", "-f", tag, check=False)
        return done


Judge = Buildah | ClassicDocker


def tree_digest(folder: Path, base: str) -> str:
    """A digest of everything in a folder that a builder could see (no times, and whatever name the base has)."""
    digest = hashlib.sha256()
    inodes: dict[tuple[int, int], str] = {}
    for path in sorted(folder.rglob("*"), key=os.fsencode):
        status = path.lstat()
        name = str(path.relative_to(folder))
        line = f"{name!r} {status.st_mode:o} {status.st_uid}:{status.st_gid} {status.st_rdev}"
        if stat.S_ISLNK(status.st_mode):
            line += f" {os.readlink(path)!r}"
        elif stat.S_ISREG(status.st_mode):
            first = inodes.setdefault((status.st_dev, status.st_ino), name)
            line += f" {hashlib.sha256(path.read_bytes().replace(base.encode(), b'BASE')).hexdigest()} {first!r}"
            line += f" {[(key, os.getxattr(path, key)) for key in sorted(os.listxattr(path))]}"
        digest.update(f"{line}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def judged(
    judge: Judge, dockerfile: Path, context: Path, args: list[str], work: Path, key: str, base: str
) -> tuple[image_compare.Image | None, str]:
    """The judge's image (None when it refuses) and what it said; remembered in the cache by content.

    `key` names what the build depends on besides: the digest of its base images. `base` is the name of the base,
    which differs between runs and says nothing.
    """
    reader = Path(image_compare.__file__).read_text()
    tree = tree_digest(context, base)
    parts = (judge.version, tree, repr(args).replace(str(context), "CONTEXT"), key, reader)
    name = hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:24]
    kept = machine.cache_dir() / "judged" / f"{name}.json"
    if kept.exists():
        return image_compare.Image.from_json(kept.read_text()), ""
    kept.parent.mkdir(exist_ok=True)
    archive = work / f"{judge.name}-{name}.tar"
    done = judge.build(dockerfile, context, args, archive)
    if done.returncode:  # not remembered: the reason may be the machine
        return None, f"{done.stdout[-2000:]}{done.stderr[-3000:]}"
    image = image_compare.read_image(archive)
    archive.unlink()
    partial = kept.with_name(f"{kept.name}.{os.getpid()}")
    partial.write_text(image.to_json())
    partial.rename(kept)
    return image, ""


def copy_context(source: Path, target: Path) -> None:
    """A private copy of a case's folder, with the modes that a checkout with any umask would have."""
    shutil.copytree(source, target, symlinks=True)
    for path in [target, *target.rglob("*")]:
        if path.is_symlink():
            continue
        executable = path.is_dir() or path.stat().st_mode & 0o100
        path.chmod(0o755 if executable else 0o644)
