"""A daemon whose disk is full says so, with the way out, and keeps nothing of the build."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import machine, services
from support.builds import write
from support.werf import Werf

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def small(service_folder: Path) -> Iterator[services.Docker]:
    """A daemon with 48 MiB for all its data."""
    folder = service_folder / "small"
    folder.mkdir()
    machine.run(machine.require("mount"), "-t", "tmpfs", "-o", "size=48m", "tmpfs", folder)
    try:
        with services.dockerd(folder) as docker:
            yield docker
    finally:
        services.unmount_below(folder)


@pytest.mark.parametrize("builder", ["buildkit", "classic"])
def test_a_full_disk(builder: str, small: services.Docker, werf: Werf, tmp_path: Path) -> None:
    project = write(tmp_path / "p", {"Dockerfile": "FROM scratch\nCOPY big /\n", "big": bytes(64 << 20)})
    werf.env.update(DOCKER_HOST=small.host, WERF_BUILDAH_MODE="docker", DOCKER_TMPDIR=str(tmp_path))
    done = werf.run("build", "--docker-builder", builder, "-t", "full:1", "--dir", project, check=False)
    assert done.returncode == 1, done.stderr
    assert "no space left on device" in done.stderr
    assert "`docker system df` shows what takes the daemon's disk" in done.stderr
    assert small.run("images", "-a", "-q").stdout == ""
    assert small.run("ps", "-a", "-q").stdout == ""
    write(project, {"big": b"small now"})
    for _ in range(60):
        small.run("builder", "prune", "-a", "-f")  # BuildKit keeps the part of the context that it got, and works on it
        done = werf.run("build", "--docker-builder", builder, "-t", f"fits:{builder}", "--dir", project, check=False)
        if done.returncode == 0:
            break
        time.sleep(0.5)
    assert done.returncode == 0, done.stderr
    small.run("rmi", "-f", f"fits:{builder}")
