"""Opens the backend that builds: the Docker daemon, or the embedded engine."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TYPE_CHECKING

import msgspec

from pywerf.backend.contract import Backend
from pywerf.backend.select import select_backend
from pywerf.build.options import EngineOptions

if TYPE_CHECKING:
    from pywerf.util.events import Reporter

__all__ = ["LazyBackend", "open_backend"]


class LazyBackend:
    """A backend that is opened when it is first asked for, and closed at the end. A context manager.

    The embedded engine enters its user namespace then, which a process with several threads cannot: whoever starts
    threads asks before.
    """

    def __init__(self, make: Callable[[], AbstractContextManager[Backend]]) -> None:
        self._make = make
        self._stack = ExitStack()
        self._backend: Backend | None = None

    @property
    def opened(self) -> Backend | None:
        """The backend if it is open."""
        return self._backend

    def __call__(self) -> Backend:
        """The backend. Raises what opening raises."""
        if self._backend is None:
            self._backend = self._stack.enter_context(self._make())
        return self._backend

    def __enter__(self) -> LazyBackend:
        return self

    def __exit__(self, *exception: object) -> None:
        self._backend = None
        self._stack.close()


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

        failures = None
        if options.introspect:
            from pywerf.backend.docker.introspection import FailureShells
            from pywerf.build.rerun import find_command

            failures = FailureShells(options.introspect, find_command, reporter)
        with DockerBackend(os.environ, reporter, builder=docker_builder, failures=failures) as backend:
            yield backend
        return
    if sys.platform != "linux":  # the engine's modules cannot even be imported there
        from pywerf.isolation.ladder import check_platform

        check_platform(sys.platform)
    from pywerf.build.embedded import EmbeddedBackend
    from pywerf.build.session import Session

    with Session.open(msgspec.structs.replace(options, mode=selected.mode), reporter) as session:
        yield EmbeddedBackend(session)
