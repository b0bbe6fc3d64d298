"""`werf` inside of containers that dockerd or podman runs without any extra right, as most CI jobs live."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import CompletedProcess

import pywerf
from support import bases, machine, services
from support.users import User

__all__ = ["Engine", "docker_engine", "podman_engine", "rootless_podman_engine"]

IMAGE = "pywerf-python:1"
SHARED = "/shared"


class Engine:
    """Runs containers: `argv` are the words before `run`. `shared` is a folder that all of them have at /shared."""

    def __init__(
        self,
        argv: list[str],
        env: dict[str, str],
        shared: Path,
        flags: list[str],
        *,
        packages: Path | None = None,
        wrap: Callable[[list[str]], list[str]] = lambda words: words,
    ) -> None:
        """`packages` is what pywerf needs, where the caller can read it; `wrap` makes a command line another user's."""
        self.argv = argv
        self.env = env
        self.shared = shared
        self.wrap = wrap
        packages = packages or bases.python_packages()
        self.flags = [
            *("run", "--rm", "--network=host", *flags),
            *("-v", f"{Path(pywerf.__file__).parents[1]}:/opt/src:ro", "-v", f"{packages}:/opt/packages:ro"),
            *("-v", f"{shared}:{SHARED}", "-e", "PYTHONPATH=/opt/src:/opt/packages", "-e", "PYTHONDONTWRITEBYTECODE=1"),
        ]

    def run(self, script: str, *flags: str, check: bool = True) -> CompletedProcess[str]:
        """A shell script in a new container, in which `werf` is a command. `flags` are more flags of `run`."""
        start = 'werf() { python3 -m pywerf "$@"; }\nset -e\n'
        command = [*self.argv, *self.flags, *flags, IMAGE, "sh", "-c", start + script]
        return machine.run(*self.wrap(command), check=check, env=self.env, timeout=1200)


def _archive(folder: Path) -> Path:
    """The image with Debian's Python as an archive that both load."""
    archive = folder / "python.tar"
    if not archive.exists():
        layout = bases.python_base()
        machine.run(machine.require("skopeo"), "copy", "-q", f"oci:{layout}:base", f"docker-archive:{archive}:{IMAGE}")
    return archive


def docker_engine(docker: services.Docker, shared: Path) -> Engine:
    """Containers of a Docker daemon."""
    docker.run("load", "-q", "-i", _archive(shared))
    return Engine([docker.client], docker.env, shared, [])


@contextmanager
def podman_engine(folder: Path, shared: Path) -> Iterator[Engine]:
    """Containers of podman, with a store in `folder`."""
    state = Path(tempfile.mkdtemp(prefix="podman-", dir="/run"))  # podman takes no path of more than 50 characters
    argv = [machine.require("podman"), "--root", f"{folder}/root", "--runroot", f"{state}/run"]
    argv += ["--tmpdir", f"{state}/tmp", "--storage-driver", "overlay", "--cgroup-manager", "cgroupfs"]
    argv += ["--events-backend", "none", "--runtime", machine.require("runc")]
    try:
        machine.run(*argv, "load", "-q", "-i", _archive(shared))
        # podman's own defaults raise limits, which not every root may
        limits = ["--ulimit=nofile=1024:1024", "--ulimit=nproc=4096:4096", "--log-driver=none"]
        yield Engine(argv, dict(os.environ), shared, [*limits, "--pull=never"])
    finally:
        machine.run(*argv, "rm", "-f", "-a", "-t", "0", check=False)
        services.unmount_below(folder)
        services.unmount_below(state)
        shutil.rmtree(state)


@contextmanager
def rootless_podman_engine(folder: Path, shared: Path, one: User) -> Iterator[Engine]:
    """Containers of an ordinary user's podman. `folder` and `shared` are where that user may read."""
    state = Path(tempfile.mkdtemp(prefix="podman-", dir="/run"))
    packages = shutil.copytree(bases.python_packages(), folder / "packages")
    archive = _archive(folder)
    machine.run("chmod", "-R", "a+rX", folder)
    owner = one.home.stat()
    os.chown(state, owner.st_uid, owner.st_gid)
    argv = [machine.require("podman"), "--cgroup-manager", "cgroupfs", "--events-backend", "none"]
    # crun refuses machines with both versions of cgroups; overlay of its own namespace is another test's matter
    argv += ["--runtime", machine.require("runc"), "--storage-driver", "vfs"]

    def wrap(words: list[str]) -> list[str]:
        return one.words(*words, env={"XDG_RUNTIME_DIR": str(state)})

    try:
        machine.run(*wrap([*argv, "load", "-q", "-i", str(archive)]), timeout=600)
        limits = ["--ulimit=nofile=1024:1024", "--ulimit=nproc=4096:4096", "--log-driver=none", "--pull=never"]
        yield Engine(argv, dict(os.environ), shared, limits, packages=packages, wrap=wrap)
    finally:
        machine.run(*wrap([*argv, "system", "reset", "--force"]), check=False)
        machine.run(*wrap([*argv, "system", "migrate"]), check=False)  # ends the process that keeps its namespace
        services.unmount_below(state)
        shutil.rmtree(state)
