"""`werf build` of several images at once, interrupted: all of them stop at once, and nothing is left of them."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import time
from pathlib import Path

import pytest

from support import services
from support.git_repository import GitRepository
from support.werf import Werf

pytestmark = pytest.mark.integration


NUMBERS = itertools.count(os.getpid() * 100)


def running(seconds: str) -> int:
    """How many processes sleep that long: the output of images that are built at once is shown at their ends."""
    found = 0
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_bytes().split(b"\0")
            found += words[-3:-1] == [b"sleep", seconds.encode()]
    return found


def kept(docker: services.Docker) -> tuple[list[str], ...]:
    """Containers; images with the intermediate ones; names."""
    return (
        docker.run("ps", "-a", "-q").stdout.split(),
        sorted(docker.run("images", "-a", "-q", "--no-trunc").stdout.split()),
        sorted(docker.run("images", "--format", "{{.Repository}}:{{.Tag}}").stdout.split()),
    )


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("builder", ["buildkit", "classic", "embedded"])
def test_all_images_stop(
    builder: str, signum: signal.Signals, werf: Werf, docker: services.Docker, busybox: str, tmp_path: Path
) -> None:
    git = GitRepository(tmp_path / "shop")
    seconds = str(1_000_000 + next(NUMBERS))  # no other process sleeps as long
    run = f"echo {builder}-{signum} $IMAGE; sleep {seconds}"
    git.commit(
        {
            "werf.yaml": "project: shop\nconfigVersion: 1\n"
            + "".join(
                f"---\nimage: {name}\ndockerfile: Dockerfile\nnetwork: host\nargs: {{IMAGE: {name}}}\n" for name in "ab"
            ),
            "Dockerfile": f"FROM {busybox}\nARG IMAGE\nRUN echo {builder} $IMAGE > /first\nRUN {run}\n",
        }
    )
    docker.run("pull", busybox)
    if builder != "embedded":
        werf.env.update(WERF_BUILDAH_MODE="docker", DOCKER_HOST=docker.host)
    before = kept(docker)
    process = werf.start("build", "--docker-builder", "classic" if builder == "classic" else "auto", cwd=git.path)
    try:
        end = time.monotonic() + 120
        while running(seconds) < 2 and time.monotonic() < end and process.poll() is None:
            time.sleep(0.1)
        began = time.monotonic()
        process.send_signal(signum)
        said, _ = process.communicate(timeout=120)
    finally:
        process.kill()
    assert time.monotonic() - began < 60  # the commands would take days
    end = time.monotonic() + 20  # BuildKit kills them when the connection has ended
    while running(seconds) and time.monotonic() < end:
        time.sleep(0.1)
    assert running(seconds) == 0
    assert process.returncode == 128 + signum, said.decode(errors="replace")
    assert b"Traceback" not in said
    end = time.monotonic() + 20
    while kept(docker) != before and time.monotonic() < end:
        time.sleep(0.2)
    assert kept(docker) == before
