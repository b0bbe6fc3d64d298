"""`werf` inside of containers that dockerd or podman runs without any extra right, as most CI jobs live."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import CompletedProcess

import pywerf
from support import bases, machine, services

__all__ = ["Engine", "docker_engine", "podman_engine"]

IMAGE = "pywerf-python:1"
SHARED = "/shared"


class Engine:
    """Runs containers: `argv` are the words before `run`. `shared` is a folder that all of them have at /shared."""

    def __init__(self, argv: list[str], env: dict[str, str], shared: Path, flags: list[str]) -> None:
        self.argv = argv
        self.env = env
        self.shared = shared
        packages = bases.python_packages()
        self.flags = [
            *("run", "--rm", "--network=host", *flags),
            *("-v", f"{Path(pywerf.__file__).parents[1]}:/opt/src:ro", "-v", f"{packages}:/opt/packages:ro"),
            *("-v", f"{shared}:{SHARED}", "-e", "PYTHONPATH=/opt/src:/opt/packages", "-e", "PYTHONDONTWRITEBYTECODE=1"),
        ]

    def run(self, script: str, *flags: str, check: bool = True) -> CompletedProcess[str]:
        """A shell script in a new container, in which `werf` is a command. `flags` are more flags of `run`."""
        start = 'werf() { python3 -m pywerf "$@"; }\nset -e\n'
        command = [*self.argv, *self.flags, *flags, IMAGE, "sh", "-c", start + script]
        return machine.run(*command, check=check, env=self.env, timeout=1200)


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
