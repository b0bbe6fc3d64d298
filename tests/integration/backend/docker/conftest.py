"""Both backends on real ground: a Docker daemon of the tests with either builder, and the embedded engine."""

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

KINDS = ("buildkit", "classic", "embedded")


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """What builds."""
    return str(request.param)


@pytest.fixture
def recorder() -> Recorder:
    """What the backend tells."""
    return Recorder()


@pytest.fixture
def open_backend(docker: services.Docker, recorder: Recorder, tmp_path: Path) -> Iterator[Callable[[str], Backend]]:
    """Opens a backend by its kind, closed after the test."""
    with ExitStack() as stack:

        def make(kind: str) -> Backend:
            if kind == "embedded":
                machine.require_root()
                options = EngineOptions(root=str(tmp_path / "store"), mode="native-chroot")
                stack.callback(services.unmount_below, tmp_path / "store")
                return EmbeddedBackend(stack.enter_context(Session.open(options, recorder)))
            environ = {**os.environ, "DOCKER_HOST": docker.host, "DOCKER_CONFIG": str(tmp_path / "docker")}
            return stack.enter_context(DockerBackend(environ, recorder, builder=kind))

        yield make


@pytest.fixture
def backend(open_backend: Callable[[str], Backend], kind: str) -> Backend:
    """One of the three."""
    return open_backend(kind)
