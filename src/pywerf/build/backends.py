"""Opens the backend that builds: the Docker daemon, or the embedded engine."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from pywerf.backend.contract import Backend
from pywerf.backend.select import select_backend
from pywerf.build.options import EngineOptions

if TYPE_CHECKING:
    from pywerf.util.events import Reporter

__all__ = ["open_backend"]


@contextmanager
def open_backend(options: EngineOptions, reporter: Reporter, *, docker_builder: str = "") -> Iterator[Backend]:
    """The backend by `options.mode` (see backend/select.py). What the choice has to say goes to the reporter.

    Raises RegistryError when a daemon is asked for and there is none, and what opening a session raises.
    """
    selected = select_backend(options.mode, os.environ)
    if selected.line:
        reporter.message("info", selected.line)
    if selected.docker:
        from pywerf.backend.docker.backend import DockerBackend

        with DockerBackend(os.environ, reporter, builder=docker_builder) as backend:
            yield backend
        return
    if sys.platform != "linux":  # the engine's modules cannot even be imported there
        from pywerf.isolation.ladder import check_platform

        check_platform(sys.platform)
    from pywerf.build.embedded import EmbeddedBackend
    from pywerf.build.session import Session

    with Session.open(msgspec.structs.replace(options, mode=selected.mode), reporter) as session:
        yield EmbeddedBackend(session)
