"""Shells of the embedded engine: in a command that has failed, and in images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pywerf.backend.buildah.shell import find_shell, run_shell
from pywerf.backend.shells import State, look_into, on_terminal
from pywerf.oci.platform import host_platform

if TYPE_CHECKING:
    from pywerf.backend.buildah.engine import Engine
    from pywerf.backend.contract import Shell
    from pywerf.build.session import Session

__all__ = ["look_into_failure", "open_shell"]


def look_into_failure(session: Session, engine: Engine, error: BaseException) -> None:
    """Open the shells that the session's options want, when `error` is that of a command that the engine has kept.

    Never raises a WerfError.
    """
    from pywerf.errors import ContainerFailed

    failed = engine.failed
    if failed is None or not isinstance(error, ContainerFailed):
        return

    def open_one(state: State, title: str, then: str) -> None:
        with failed.container(state, session.snapshots) as spec:
            isolation = session.isolation()
            on_terminal(session.reporter, title, then, lambda terminal: run_shell(isolation, spec, terminal))

    look_into(session.options.introspect, error, session.reporter, open_one)


def open_shell(session: Session, shell: Shell) -> None:
    """ShellOpener of the embedded engine."""
    from pywerf.build.run_image import RunOptions, run_image
    from pywerf.errors import ImageNotFound

    platform = shell.platform or host_platform()
    session.isolation()  # first: it says when there are no containers
    with session.working():
        bases = session.bases("never")
        record = session.find_image(shell.image)
        found = bases.of_record(record, platform, shell.image)
        if found is None:
            raise ImageNotFound(shell.image, hint=f"it is here, but not for {platform}")
        bases.add(found)
        config = found.config.config
        below = session.snapshots.of(bases.ref(found.op))
        tree = None if below is None else session.snapshots.driver.view(below)
        options = RunOptions(
            entrypoint=find_shell(tree, config.env, config.shell if shell.words is None else shell.words),
            network=shell.network,
            add_hosts=shell.add_hosts,
            terminal=True,
            pull="never",
        )
        on_terminal(
            session.reporter,
            shell.title,
            shell.then,
            lambda terminal: run_image(session, shell.image, options, platform=platform, screen=terminal.screen),
        )
