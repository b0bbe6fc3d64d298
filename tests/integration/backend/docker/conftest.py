"""Both backends on real ground: Docker daemons of the tests with either builder, and the embedded engine."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from pywerf.backend.contract import Backend
from pywerf.backend.docker.backend import DockerBackend
from pywerf.build.embedded import EmbeddedBackend
from pywerf.build.options import EngineOptions
from pywerf.build.session import Session
from support import machine, services
from support.recorder import Recorder

KINDS = ("buildkit", "classic", "embedded", "newer", "containerd-buildkit", "containerd-classic")
"""`newer` is a daemon of the next Debian (BuildKit); `containerd-…` are that one with containerd's image store."""


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """What builds."""
    return str(request.param)


@pytest.fixture
def recorder() -> Recorder:
    """What the backend tells."""
    return Recorder()


@pytest.fixture
def daemon_of(request: pytest.FixtureRequest) -> Callable[[str], services.Docker]:
    """The daemon of a kind; for the embedded engine one that has nothing to do with it."""

    def find(kind: str) -> services.Docker:
        fixture = {"newer": "newer_docker", "containerd": "containerd_docker"}.get(kind.partition("-")[0], "docker")
        found: services.Docker = request.getfixturevalue(fixture)
        return found

    return find


@pytest.fixture
def daemon(daemon_of: Callable[[str], services.Docker], kind: str) -> services.Docker:
    """The daemon of the test's kind."""
    return daemon_of(kind)


@pytest.fixture
def open_backend(
    daemon_of: Callable[[str], services.Docker], recorder: Recorder, tmp_path: Path
) -> Iterator[Callable[[str], Backend]]:
    """Opens a backend by its kind, closed after the test."""
    with ExitStack() as stack:

        def make(kind: str) -> Backend:
            if kind == "embedded":
                machine.require_root()
                options = EngineOptions(root=str(tmp_path / "store"), mode="native-chroot")
                stack.callback(services.unmount_below, tmp_path / "store")
                return EmbeddedBackend(stack.enter_context(Session.open(options, recorder)))
            environ = {**os.environ, "DOCKER_HOST": daemon_of(kind).host, "DOCKER_CONFIG": str(tmp_path / "docker")}
            builder = "classic" if kind.endswith("classic") else "buildkit"
            return stack.enter_context(DockerBackend(environ, recorder, builder=builder))

        yield make


@pytest.fixture
def backend(open_backend: Callable[[str], Backend], kind: str) -> Backend:
    """One of them."""
    return open_backend(kind)
