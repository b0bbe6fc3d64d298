"""A base image that another client removes while a build stands on it: the build is whole, or says what to do."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pywerf.backend.contract import Backend
from pywerf.errors import WerfError
from support import machine, services
from support.backend_builds import build_of, names
from support.image_compare import read_image
from support.recorder import Recorder
from support.werf import Werf

pytestmark = pytest.mark.integration


class Remover(threading.Thread):
    """Removes the image when the build says `begun`, by a process of its own."""

    def __init__(self, recorder: Recorder, command: list[str], env: dict[str, str]) -> None:
        super().__init__()
        self.recorder = recorder
        self.command = command
        self.env = env
        self.said = ""

    def run(self) -> None:
        end = time.monotonic() + 120
        while time.monotonic() < end and not any(step[3] == b"begun\n" for step in self.recorder.steps):
            time.sleep(0.05)
        done = machine.run(*self.command, check=False, env=self.env)
        self.said = done.stdout + done.stderr


@pytest.fixture
def remove_command(daemon: services.Docker, kind: str, tmp_path: Path) -> tuple[list[str], dict[str, str]]:
    """The second client of the same daemon, or of the same store."""
    if kind == "embedded":
        werf = Werf(tmp_path / "store", tmp_path / "home")
        return [*werf.command, "buildah", "rmi", "-f"], werf.env
    return [daemon.client, "rmi", "-f"], daemon.env


def all_of(docker: services.Docker) -> tuple[list[str], list[str]]:
    """Containers, and images with the intermediate ones."""
    return (
        sorted(docker.run("ps", "-a", "-q", "--no-trunc").stdout.split()),
        sorted(set(docker.run("images", "-a", "-q", "--no-trunc").stdout.split())),
    )


def test_a_base_that_goes_during_the_build(
    open_backend: Callable[[str], Backend],
    kind: str,
    daemon: services.Docker,
    busybox: str,
    remove_command: tuple[list[str], dict[str, str]],
    recorder: Recorder,
    tmp_path: Path,
) -> None:
    backend = open_backend(kind)
    own = f"{busybox.rpartition(':')[0]}:gone-{kind}"
    before = all_of(daemon)
    # a base of its own, so that nobody else's images stand on it
    backend.builder.build(build_of(tmp_path / "base", f"FROM {busybox}\nRUN echo {kind} > /base\n", tags=(own,)))
    dockerfile = f"FROM {own}\nRUN echo be''gun; sleep 3; cat /base > /made\nRUN cat /made > /last\n"
    command, env = remove_command
    remover = Remover(recorder, [*command, own], {**os.environ, **env})
    remover.start()
    try:
        id = backend.builder.build(build_of(tmp_path / "c", dockerfile, tags=("gone:1",), no_cache=True))
    except WerfError as error:
        if not error.hint:
            raise
        assert "gone:1" not in names(backend)
    else:
        assert backend.images.inspect("gone:1").id == id
        backend.transfer.save("gone:1", str(tmp_path / "whole.tar"))
        files = read_image(tmp_path / "whole.tar").files
        assert {"base", "made", "last"} <= set(files)
        backend.images.remove(["gone:1"])
    finally:
        remover.join()
    assert "ntagged: " in remover.said, "the image was not removed meanwhile"
    assert f"gone-{kind}" not in {name.rpartition(":")[2] for name in names(backend)}
    left = all_of(daemon)
    assert left[0] == before[0]
    # the classic builder keeps what it pulled, as `docker pull` does
    assert set(left[1]) - set(before[1]) <= set(daemon.run("images", "-q", "--no-trunc").stdout.split())
    dangling = daemon.run("images", "-q", "--no-trunc", "-f", "dangling=true").stdout.split()
    assert set(dangling) <= set(before[1]), "an image without a name was left behind"
