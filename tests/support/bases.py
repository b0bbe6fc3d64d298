"""Base images that the tests make themselves: Debian by debootstrap, and busybox; kept as OCI layouts in the cache."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

from support import machine

SUITE = "bookworm"
PYTHON = "3.11"  # that of the suite
VERSION = "3"  # goes up when what is made here changes
CA_PATH = "/etc/ssl/machine-ca.crt"
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
APPLET_FOLDERS = {"sbin": {"chroot", "init", "mdev", "adduser", "addgroup"}}


def key_of(*parts: str) -> str:
    """A short name for everything that the parts say."""
    return hashlib.sha256("\0".join((VERSION, *parts)).encode()).hexdigest()[:16]


def python_base() -> Path:
    """As `debian_base`, with Debian's Python: what `werf` runs on in containers."""
    return debian_base(("python3-minimal", "python3", "libcap2-bin"))


def python_packages() -> Path:
    """A folder with what pywerf needs beside Debian's Python, for PYTHONPATH in a container."""
    wanted = sorted(word for word in metadata.requires("pywerf") or () if "extra ==" not in word)
    with machine.locked("python") as cache:
        folder = cache / f"python-{key_of(PYTHON, *wanted)}"
        if not folder.exists():
            partial = folder.with_name(f"{folder.name}.{os.getpid()}.partial")
            machine.run(
                *(sys.executable, "-m", "pip", "install", "--quiet", "--target", partial, "--only-binary=:all:"),
                *("--python-version", PYTHON, "--platform", f"manylinux2014_{os.uname().machine}"),
                *("--platform", f"manylinux_2_28_{os.uname().machine}", *wanted),
                timeout=900,
            )
            partial.rename(folder)
        return folder


def debian_base(packages: tuple[str, ...] = ()) -> Path:
    """The OCI layout of a small Debian, that reaches packages as this machine does. Made once, in half a minute."""
    mirror = machine.debian_mirror()
    apt = machine.apt_settings()
    bundle = machine.ca_bundle()
    pip = machine.pip_settings(CA_PATH if bundle else "")
    with machine.locked("debian") as cache:
        layout = cache / f"debian-{key_of(mirror, apt, pip, bundle.decode('latin-1'), *packages)}"
        if layout.exists():
            return layout
        machine.require_root()
        debootstrap = machine.require("debootstrap")
        with tempfile.TemporaryDirectory(prefix="pywerf-debian-", ignore_cleanup_errors=True) as temporary:
            root = Path(temporary) / "root"
            machine.run(
                debootstrap,
                "--variant=minbase",
                *([f"--include={','.join(packages)}"] if packages else []),
                "--keyring=/usr/share/keyrings/debian-archive-keyring.gpg",
                SUITE,
                root,
                mirror,
                timeout=900,
            )
            for pattern in (
                "var/cache/apt/archives/*.deb",
                "var/cache/apt/*.bin",
                "var/lib/apt/lists/*",
                "var/log/*.log",
            ):
                for path in root.glob(pattern):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
            (root / "etc/apt/apt.conf.d/90machine").write_text(apt + 'Dpkg::Use-Pty "0";\n')
            (root / "etc/pip.conf").write_text(pip)
            if bundle:
                (root / CA_PATH[1:]).parent.mkdir(parents=True, exist_ok=True)
                (root / CA_PATH[1:]).write_bytes(bundle)
            for name in ("etc/resolv.conf", "etc/hostname"):
                (root / name).unlink(missing_ok=True)
            write_layout(layout, root)
        return layout


def busybox_base() -> Path:
    """The OCI layout of an image with busybox under all its names, users root, daemon and nobody, and little else."""
    busybox = Path("/bin/busybox")
    if not busybox.exists():
        busybox = Path(machine.require("busybox", "busybox-static"))
    content = busybox.read_bytes()
    with machine.locked("busybox") as cache:
        layout = cache / f"busybox-{key_of(hashlib.sha256(content).hexdigest())}"
        if layout.exists():
            return layout
        with tempfile.TemporaryDirectory(prefix="pywerf-busybox-") as temporary:
            root = Path(temporary) / "root"
            make_busybox_root(root, busybox)
            write_layout(layout, root)
        return layout


def make_busybox_root(root: Path, busybox: Path) -> None:
    """A root file system of nothing but busybox at `root`, which must not exist."""
    for name in (
        "bin",
        "dev",
        "etc",
        "home",
        "proc",
        "root",
        "sbin",
        "sys",
        "tmp",
        "usr/bin",
        "usr/sbin",
        "var/tmp",
        "var/lib",
    ):
        (root / name).mkdir(parents=True, exist_ok=True)
        (root / name).chmod(0o755)
    for name, mode in (
        ("", 0o755),
        ("usr", 0o755),
        ("var", 0o755),
        ("root", 0o700),
        ("tmp", 0o1777),
        ("var/tmp", 0o1777),
    ):
        (root / name).chmod(mode)
    shutil.copyfile(busybox, root / "bin/busybox")
    (root / "bin/busybox").chmod(0o755)
    for applet in machine.run(busybox, "--list").stdout.split():
        if applet != "busybox":
            folder = "sbin" if applet in APPLET_FOLDERS["sbin"] else "bin"
            (root / folder / applet).symlink_to("busybox" if folder == "bin" else "../bin/busybox")
    (root / "etc/passwd").write_text(
        "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/usr/sbin:/bin/false\n"
        "app:x:1000:1000:app:/home/app:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/false\n"
    )
    (root / "etc/group").write_text("root:x:0:\ndaemon:x:1:\nstaff:x:50:app\napp:x:1000:\nnobody:x:65534:\n")
    (root / "etc/os-release").write_text('NAME="busybox"\nID=busybox\n')


def write_layer(root: Path, out: Path) -> str:
    """The tree as one normalised gzip layer: sorted, no names of users, whole seconds. Returns the diff_id."""
    diff = hashlib.sha256()

    class Tee:
        def __init__(self, sink: gzip.GzipFile) -> None:
            self.sink = sink

        def write(self, data: bytes) -> int:
            diff.update(data)
            return self.sink.write(data)

    links: dict[tuple[int, int], str] = {}
    with (
        open(out, "wb") as raw,
        gzip.GzipFile("", "wb", 6, raw, 0) as packed,
        tarfile.open(fileobj=Tee(packed), mode="w|", format=tarfile.PAX_FORMAT) as tar,  # type: ignore[call-overload]
    ):
        for path in sorted(root.rglob("*"), key=os.fsencode):
            status = path.lstat()
            if stat.S_ISSOCK(status.st_mode):
                continue
            info = tar.gettarinfo(path, arcname=str(path.relative_to(root)))
            info.uname = info.gname = ""
            info.mtime = int(status.st_mtime)
            if stat.S_ISREG(status.st_mode) and status.st_nlink > 1:
                first = links.setdefault((status.st_dev, status.st_ino), info.name)
                info.type, info.linkname = (tarfile.REGTYPE, "") if first == info.name else (tarfile.LNKTYPE, first)
                info.size = status.st_size if info.isreg() else 0
            if info.isreg():
                with path.open("rb") as content:
                    tar.addfile(info, content)
            else:
                tar.addfile(info)
    return f"sha256:{diff.hexdigest()}"


def write_layout(layout: Path, root: Path) -> None:
    """The tree as an image of one layer in an OCI image layout that appears at once."""
    partial = layout.with_name(f"{layout.name}.{os.getpid()}.partial")
    blobs = partial / "blobs/sha256"
    blobs.mkdir(parents=True)

    def keep(data: bytes, media_type: str) -> dict[str, object]:
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"mediaType": f"application/vnd.oci.image.{media_type}", "digest": f"sha256:{digest}", "size": len(data)}

    temporary = partial / "layer"
    diff_id = write_layer(root, temporary)
    layer = keep(temporary.read_bytes(), "layer.v1.tar+gzip")
    temporary.unlink()
    created = "2024-01-01T00:00:00Z"
    config = {
        "created": created,
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine),
        "os": "linux",
        "config": {"Env": [f"PATH={DEFAULT_PATH}"], "Cmd": ["/bin/sh"]},
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        "history": [{"created": created, "created_by": "base"}],
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": keep(json.dumps(config).encode(), "config.v1+json"),
        "layers": [layer],
    }
    descriptor = keep(json.dumps(manifest).encode(), "manifest.v1+json")
    descriptor["annotations"] = {"org.opencontainers.image.ref.name": "base"}
    (partial / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [descriptor]}))
    (partial / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    partial.rename(layout)


def rootfs_tar(layout: Path, out: Path) -> None:
    """The one layer of a base as a plain tar, for programs that want a root file system."""
    index = json.loads((layout / "index.json").read_text())
    manifest = json.loads((layout / "blobs" / index["manifests"][0]["digest"].replace(":", "/")).read_text())
    with (
        gzip.open(layout / "blobs" / manifest["layers"][0]["digest"].replace(":", "/")) as packed,
        open(out, "wb") as raw,
    ):
        shutil.copyfileobj(packed, raw, 1 << 20)


def pull_base(werf: Callable[..., subprocess.CompletedProcess[str]], layout: Path, *flags: str) -> None:
    """Bring a base into a store, as the image `base`: from a layout it would be called as the layout's folder is."""
    image = werf("buildah", "pull", *flags, f"oci:{layout}:base").stdout.strip()
    werf("buildah", "tag", *flags, image, "base")
