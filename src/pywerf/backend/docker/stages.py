"""A command on top of one of the daemon's images, committed as a new one."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from pywerf.backend.contract import ImageDetails, Stage
from pywerf.backend.docker.attach import attached
from pywerf.backend.docker.host import CONTAINER_LABEL
from pywerf.backend.docker.images import daemon_name
from pywerf.backend.docker.to_its_end import to_its_end
from pywerf.errors import ContainerFailed, UsageError, WerfError
from pywerf.oci.digest import Digest
from pywerf.util.exit_status import ending, status_hint
from pywerf.util.process_mark import process_mark

if TYPE_CHECKING:
    from pywerf.backend.docker.daemon import Daemon
    from pywerf.backend.docker.images import DockerImages
    from pywerf.backend.docker.progress import Steps
    from pywerf.backend.docker.recast import Recaster

__all__ = ["DockerStages", "container_of"]


class DockerStages:
    """StageRunner of a daemon.

    A commit gives an image the container's variables, user and command, whatever config it is told to give: what is
    there cannot be taken away. So what was committed is used for its layers alone, and the image with the config
    that is wanted comes to the daemon as an archive that names these layers and holds none of them.
    """

    def __init__(self, daemon: Daemon, images: DockerImages, recaster: Recaster, steps: Steps) -> None:
        self._daemon = daemon
        self._images = images
        self._recaster = recaster
        self._steps = steps

    def run(self, stage: Stage) -> Digest:
        """StageRunner."""
        if not stage.argv:
            raise UsageError(f"{stage.name}: there is no command to run")
        tags = tuple(daemon_name(tag) for tag in stage.tags)
        base = self._images.inspect(stage.image)
        steps = self._steps.fresh()
        steps.start(stage.name, stage.name)
        containers: list[str] = []
        drafts: list[str] = []
        try:
            with self._daemon.translated(stage.name):
                self._create(stage, base, containers)
                self._follow(containers[0], stage, steps)
                made = self._commit(stage, base, containers[0], drafts)
                # names come last: what is interrupted after them would leave them
                self._clean(containers, [draft for draft in drafts if draft != str(made)])
                containers.clear()
                drafts[:] = [str(made)]
                self._images.name(made, tags)
                drafts.clear()
        except BaseException as error:
            failed = isinstance(error, WerfError)
            steps.finish(stage.name, "failed" if failed else "cancelled", error=str(error) if failed else "")
            raise
        finally:
            if containers or drafts:
                self._clean(containers, drafts)
        steps.finish(stage.name, "done")
        return made

    def _create(self, stage: Stage, base: ImageDetails, containers: list[str]) -> None:
        # should this process be killed: by its mark `werf host cleanup` sees that nobody waits for the container
        body = {**container_of(stage, base), "Labels": {CONTAINER_LABEL: process_mark()}}

        def create() -> None:
            created = self._daemon.api.create_container_from_config(body)  # type: ignore[no-untyped-call]  # incomplete stubs
            containers.append(str(created["Id"]))

        to_its_end(create)

    def _follow(self, container: str, stage: Stage, steps: Steps) -> None:
        """Run the container and tell its output. Raises ContainerFailed."""
        api = self._daemon.api
        with attached(self._daemon, container) as output:
            try:
                api.start(container)
            except Exception as error:
                message = str(getattr(error, "explanation", "") or "")
                if "executable file not found" in message or "no such file or directory" in message:
                    raise ContainerFailed(f"{stage.name}: {message}", status=127) from error
                raise
            for data, stderr in output:
                steps.output(stage.name, data, stderr=stderr)
        status = int(api.wait(container)["StatusCode"])
        if status:
            raise ContainerFailed(f"{stage.name}: {ending(status)}", status=status, hint=status_hint(status))

    def _commit(self, stage: Stage, base: ImageDetails, container: str, drafts: list[str]) -> Digest:
        """The image of the layers that a commit makes, with the config that is wanted. Both are put to `drafts`."""
        to_its_end(lambda: drafts.append(str(self._daemon.api.commit(container)["Id"])))
        original = self._recaster.original(drafts[0], last=" ".join(stage.argv))
        config = stage.config or base.config
        wanted = replace(
            original.config,
            config=replace(config, labels={**config.labels, **stage.labels}),
            author=base.author,
        )
        return self._recaster.make(original, wanted.to_json(), stage.name, drafts)

    def _clean(self, containers: Sequence[str], drafts: Sequence[str]) -> None:
        """Remove containers with their volumes, and images without a name, also when interrupted meanwhile.

        Never raises an error of the daemon's.
        """

        def clean() -> None:
            for container in containers:
                with suppress(WerfError), self._daemon.translated():
                    self._daemon.api.remove_container(container, v=True, force=True)
            self._images.drop(drafts)

        to_its_end(clean)


def container_of(stage: Stage, base: ImageDetails) -> dict[str, Any]:
    """The body of the API's ContainerCreate."""
    host: dict[str, Any] = {
        "Mounts": [
            {"Type": "bind", "Source": mount.source, "Target": mount.target, "ReadOnly": mount.read_only}
            for mount in stage.mounts
        ],
        "ExtraHosts": list(stage.add_hosts),
        "LogConfig": {"Type": "none"},  # we are attached: the daemon need not keep the output
    }
    if stage.network:
        host["NetworkMode"] = stage.network
    return {
        "Image": str(base.id),
        "Entrypoint": [stage.argv[0]],
        "Cmd": list(stage.argv[1:]),
        "Env": [f"{name}={value}" for name, value in stage.env.items()],
        "User": stage.user,
        "WorkingDir": stage.workdir,
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": host,
    }
