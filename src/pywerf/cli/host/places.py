"""What the commands that clean this machine share: the backends that are here, the directories of ours."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from pywerf.cli.declare import flag

if TYPE_CHECKING:
    from pywerf.backend.host import HostBackend
    from pywerf.build.session import Session
    from pywerf.cli.invocation import Invocation

__all__ = ["home_flags", "host_backends", "tmp_dir"]

F = TypeVar("F", bound=Callable[..., Any])


def home_flags(function: F) -> F:
    """`--home-dir` and `--tmp-dir`."""
    for one in (
        flag("--tmp-dir", metavar="DIR", help="Directory for temporary files (default: the system's)."),
        flag("--home-dir", env=("WERF_HOME",), metavar="DIR", help="Directory for caches and locks (~/.werf)."),
    ):
        function = one(function)
    return function


def tmp_dir(flags: Mapping[str, Any]) -> str:
    """Where temporary files are."""
    import tempfile

    return flags["tmp_dir"] or tempfile.gettempdir()


@contextmanager
def host_backends(run: Invocation, storage_path: str = "") -> Iterator[list[tuple[Session | None, HostBackend]]]:
    """The backends of this machine that have something: the embedded engine's (with its session), the Docker daemon.

    The mode (`--buildah-mode`) chooses one of them; without it both are meant, the daemon if it answers, and the
    engine's store if there is one, or no daemon.
    """
    from pywerf.backend.select import select_backend
    from pywerf.build.host.embedded import EmbeddedHost
    from pywerf.util.home import default_root

    mode = run.engine.mode
    docker = select_backend(mode, os.environ).docker
    root = run.engine.root or default_root()
    found: list[tuple[Session | None, HostBackend]] = []
    with ExitStack() as stack:
        if mode != "docker" and (not docker or run.engine.root or os.path.isdir(root)):
            session = stack.enter_context(run.session())
            found.append((session, EmbeddedHost(session)))
        if docker:
            from pywerf.backend.docker.daemon import Daemon
            from pywerf.backend.docker.host import DockerHost

            found.append((None, DockerHost(stack.enter_context(Daemon(os.environ)), storage_path)))
        yield found
