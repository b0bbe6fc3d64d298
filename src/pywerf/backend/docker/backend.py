"""The Docker daemon as a backend: its parts, put together."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal

from pywerf.backend.contract import DockerfileBuild
from pywerf.backend.docker.configs import DockerConfigs
from pywerf.backend.docker.daemon import Daemon
from pywerf.backend.docker.images import DockerImages
from pywerf.backend.docker.progress import Steps
from pywerf.backend.docker.recast import Recaster
from pywerf.backend.docker.shells import DockerShells
from pywerf.backend.docker.stages import DockerStages
from pywerf.backend.docker.transfer import DockerTransfer
from pywerf.errors import BuildError, ContainerFailed, UsageError, WerfError
from pywerf.oci.digest import Digest
from pywerf.util.events import Reporter

if TYPE_CHECKING:
    from pywerf.backend.docker.introspection import FailureShells

__all__ = ["BUILDERS", "DockerBackend", "DockerBuilder", "choose_builder"]

Builder = Literal["buildkit", "classic"]
BUILDERS = ("auto", "buildkit", "classic")


def choose_builder(asked: str, daemon_os: str, environ: Mapping[str, str]) -> tuple[Builder, str]:
    """The daemon's builder and the reason: what was asked for, docker's own DOCKER_BUILDKIT, else BuildKit.

    Raises UsageError for an unknown name, BuildError for a daemon that cannot.
    """
    if asked not in ("", *BUILDERS):
        raise UsageError(f"--docker-builder {asked}: unknown builder", hint=f"it is one of {', '.join(BUILDERS)}")
    if asked == "classic":
        return "classic", "as asked for"
    variable = environ.get("DOCKER_BUILDKIT", "").lower()
    if asked != "buildkit" and variable in ("0", "f", "false"):
        return "classic", f"DOCKER_BUILDKIT={environ['DOCKER_BUILDKIT']}"
    if daemon_os != "linux":
        if asked == "buildkit" or variable:
            raise BuildError(f"the Docker daemon runs {daemon_os} containers: there is no BuildKit in it")
        return "classic", f"the daemon runs {daemon_os} containers"
    return "buildkit", "as asked for" if asked == "buildkit" or variable else "the daemon has it"


class DockerBuilder:
    """DockerfileBuilder of a daemon, by one of its two builders."""

    def __init__(
        self, daemon: Daemon, steps: Steps, asked: str, failed: Callable[[DockerfileBuild, WerfError], None] | None
    ) -> None:
        """`failed` is told of a command that has failed, while the cache has what comes before it."""
        self._daemon = daemon
        self._steps = steps
        self._failed = failed
        self.kind, reason = choose_builder(asked, daemon.os, daemon.environ)
        what = "BuildKit" if self.kind == "buildkit" else "the classic builder"
        where = "" if daemon.endpoint.origin == "the default" else f" at {daemon.endpoint}"
        self.line = f"Docker {daemon.version}{where}: {what} builds ({reason})"

    def build(self, build: DockerfileBuild) -> Digest:
        """DockerfileBuilder."""
        told = self._failed
        return self.build_only(build, None if told is None else lambda error: told(build, error))

    def build_only(self, build: DockerfileBuild, failed: Callable[[ContainerFailed], None] | None = None) -> Digest:
        """As `build`, and nothing is told to anybody but `failed`."""
        if self.kind == "classic":
            from pywerf.backend.docker.classic import build_classic

            return build_classic(self._daemon, build, self._steps.fresh(), failed)
        from pywerf.backend.docker.buildkit import build_buildkit

        try:
            return build_buildkit(self._daemon, build, self._steps.fresh())
        except ContainerFailed as error:
            if failed is not None:
                failed(error)
            raise


class DockerBackend:
    """Backend. A context manager."""

    name = "docker"

    def __init__(
        self,
        environ: Mapping[str, str],
        reporter: Reporter,
        *,
        builder: str = "",
        failures: FailureShells | None = None,
    ) -> None:
        """`failures` opens shells for commands that fail.

        Raises RegistryError when there is no daemon, BuildError when it is too old, UsageError.
        """
        self.daemon = Daemon(environ)
        self.steps = Steps(reporter, itertools.count(1).__next__)
        self._failures = failures
        self.builder = DockerBuilder(self.daemon, self.steps, builder, None if failures is None else self._look)
        self.images = DockerImages(self.daemon)
        self.shells = DockerShells(self.daemon, self.images, reporter)
        recaster = Recaster(self.daemon, self.images)
        self.transfer = DockerTransfer(self.daemon, self.images, recaster, self.steps)
        self.configs = DockerConfigs(self.images, recaster)
        self.stages = DockerStages(self.daemon, self.images, recaster, self.steps)
        self.line = self.builder.line

    def _look(self, build: DockerfileBuild, error: WerfError) -> None:
        assert self._failures is not None
        self._failures.look(build, error, self.builder.build_only, self.images, self.shells)

    def stop(self) -> None:
        """Backend."""
        self.daemon.stopping.stop()

    def __enter__(self) -> DockerBackend:
        return self

    def __exit__(self, *_: object) -> None:
        self.daemon.close()
