"""Looks into commands that have failed in the daemon.

Its builders keep nothing of such a command that could be asked for by the API. So for the state before it the
Dockerfile is built up to there, which the cache has; for the state after it the command is run once more as its last
step, in a way that lets it fail and keeps what it leaves. How such a Dockerfile looks, `Rerun` knows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from pywerf.backend.contract import DockerfileBuild, Shell
from pywerf.backend.docker.classic import ulimit
from pywerf.backend.shells import State, look_into
from pywerf.errors import BuildError

if TYPE_CHECKING:
    from pywerf.backend.docker.images import DockerImages
    from pywerf.backend.docker.shells import DockerShells
    from pywerf.errors import SourceExcerpt, WerfError
    from pywerf.oci.digest import Digest
    from pywerf.util.events import Reporter

__all__ = ["FailedCommand", "FailureShells", "Rerun"]


class FailedCommand(Protocol):
    """A command of a Dockerfile, as a shell beside it wants it."""

    @property
    def before(self) -> DockerfileBuild:
        """Builds an image of what there is before the command, with its variables."""

    def after(self, shell: tuple[str, ...]) -> DockerfileBuild:
        """Builds an image of what there is when it has failed; `shell` is the SHELL at that place."""

    @property
    def network(self) -> str:
        """The network of the command; empty: the daemon's own."""

    @property
    def tmpfs(self) -> tuple[str, ...]:
        """Where it has file systems in memory."""

    @property
    def missing(self) -> tuple[str, ...]:
        """The mounts of the command that a container outside of the build cannot have."""


Rerun = Callable[[DockerfileBuild, "SourceExcerpt | None"], FailedCommand | None]
"""The command of a build that stands at a place, or None when it is not in the Dockerfile itself (ONBUILD)."""


class FailureShells:
    """Opens the shells that are wanted when a command fails. `states` say which, in order."""

    def __init__(self, states: tuple[State, ...], rerun: Rerun, reporter: Reporter) -> None:
        self.states = states
        self._rerun = rerun
        self._reporter = reporter

    def look(
        self,
        build: DockerfileBuild,
        error: WerfError,
        again: Callable[[DockerfileBuild], Digest],
        images: DockerImages,
        shells: DockerShells,
    ) -> None:
        """After a failure of `build`; `again` builds. Never raises a WerfError."""
        made: list[str] = []

        def open_one(state: State, title: str, then: str) -> None:
            command = self._rerun(build, error.source)
            if command is None:
                raise BuildError("the command is a trigger of the base image")
            image = str(again(command.before))
            made.append(image)
            words = images.inspect(image).config.shell or ()
            if state == "after":
                image = str(again(command.after(words)))
                made.append(image)
            if command.missing:
                title += f"\nNot there: {', '.join(command.missing)}"
            wanted: dict[str, Any] = {
                "Tmpfs": dict.fromkeys(command.tmpfs, ""),
                "ShmSize": build.shm_size,
                "Ulimits": [ulimit(text) for text in build.ulimits],
            }
            host = {key: value for key, value in wanted.items() if value}
            shell = Shell(image, title, then, words=words, network=command.network, add_hosts=build.add_hosts)
            shells.open(shell, host)

        try:
            look_into(self.states, error, self._reporter, open_one)
        finally:
            images.drop(list(reversed(made)))
