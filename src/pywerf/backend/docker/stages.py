"""A command on top of one of the daemon's images, committed as a new one."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from io import BytesIO
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from pywerf.backend.contract import ImageDetails, Stage
from pywerf.backend.docker.attach import attached
from pywerf.backend.docker.errors import explain
from pywerf.backend.docker.images import daemon_name
from pywerf.backend.docker.stream import events
from pywerf.errors import ContainerFailed, UsageError, WerfError
from pywerf.oci.config import History, ImageConfig
from pywerf.oci.digest import Digest
from pywerf.util.exit_status import ending, status_hint

if TYPE_CHECKING:
    from pywerf.backend.docker.daemon import Daemon
    from pywerf.backend.docker.images import DockerImages
    from pywerf.backend.docker.progress import Steps

__all__ = ["DockerStages", "container_of", "history_of", "tiny_archive", "to_its_end"]


class DockerStages:
    """StageRunner of a daemon.

    A commit gives an image the container's variables, user and command, whatever config it is told to give: what is
    there cannot be taken away. So what was committed is used for its layers alone, and the image with the config
    that is wanted comes to the daemon as an archive that names these layers and holds none of them.
    """

    def __init__(self, daemon: Daemon, images: DockerImages, steps: Steps) -> None:
        self._daemon = daemon
        self._images = images
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
                if tags:
                    self._images.tag(str(made), tags)
                drafts.remove(str(made))
        except BaseException as error:
            failed = isinstance(error, WerfError)
            steps.finish(stage.name, "failed" if failed else "cancelled", error=str(error) if failed else "")
            raise
        finally:
            self._clean(containers, drafts)
        steps.finish(stage.name, "done")
        return made

    def _create(self, stage: Stage, base: ImageDetails, containers: list[str]) -> None:
        body = container_of(stage, base)

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
        committed = self._images.inspect(drafts[0])
        listed: list[dict[str, Any]] = self._daemon.api.history(drafts[0])  # type: ignore[no-untyped-call]  # incomplete stubs
        config = stage.config or base.config
        data = ImageConfig(
            committed.platform,
            replace(config, labels={**config.labels, **stage.labels}),
            committed.diff_ids,
            history_of(listed, len(committed.diff_ids), " ".join(stage.argv)),
            committed.created,
            base.author,
        ).to_json()

        def load() -> None:
            headers = {"Content-Type": "application/x-tar"}
            archive = tiny_archive(data, committed.diff_ids)
            with closing(events(self._daemon, "/images/load?quiet=1", [archive], headers, stage.name)) as stream:
                for event in stream:
                    if event.get("error"):
                        raise explain(str(event["error"]), what=stage.name)
            drafts.append(str(self._images.inspect(str(Digest.of(data))).id))

        to_its_end(load)
        return Digest.parse(drafts[-1])

    def _clean(self, containers: Sequence[str], drafts: Sequence[str]) -> None:
        """Remove containers with their volumes, and images without a name. Never raises an error of the daemon's."""
        for container in containers:
            with suppress(WerfError), self._daemon.translated():
                self._daemon.api.remove_container(container, v=True, force=True)
        for draft in drafts:
            with suppress(WerfError):
                self._images.remove([draft], force=True)


def to_its_end(call: Callable[[], None]) -> None:
    """Call it, and wait for its end though we are interrupted meanwhile.

    The daemon does what it was asked even when nobody waits for the answer, which says what is to be removed.
    """
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as worker:
        worker.submit(lambda: None).result()  # a thread that is still being started would not be waited for
        worker.submit(call).result()


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


def history_of(listed: Sequence[dict[str, Any]], layers: int, last: str) -> tuple[History, ...]:
    """The history from the API's list, the latest first; `last` is what the latest layer was made by.

    The API does not tell which lines have a layer: those with a size have, and of the others as many as are missing,
    commands before what only changes the config. Empty when no reading fits: a config need not have a history.
    """
    lines = list(reversed(listed))
    full = [int(line.get("Size") or 0) > 0 for line in lines]
    missing = layers - sum(full)
    empty = [index for index, has in enumerate(full) if not has]
    empty.sort(key=lambda index: ("#(nop)" in str(lines[index].get("CreatedBy")), index))
    if not 0 <= missing <= len(empty):
        return ()
    for index in empty[:missing]:
        full[index] = True
    made = [
        History(
            time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(int(line.get("Created") or 0))),
            str(line.get("CreatedBy") or ""),
            comment=str(line.get("Comment") or ""),
            empty_layer=not has,
        )
        for line, has in zip(lines, full, strict=True)
    ]
    if made:
        made[-1] = replace(made[-1], created_by=last)
    return tuple(made)


def tiny_archive(config: bytes, layers: Sequence[Digest]) -> bytes:
    """A Docker archive of an image without a name whose layers the daemon has: they are named, and not in it."""
    from tarfile import TarFile, TarInfo

    name = f"{Digest.of(config).hex}.json"
    manifest = [{"Config": name, "RepoTags": None, "Layers": [f"{id.hex}/layer.tar" for id in layers]}]
    out = BytesIO()
    with TarFile(fileobj=out, mode="w") as archive:
        for path, data in ((name, config), ("manifest.json", json.dumps(manifest).encode())):
            info = TarInfo(path)
            info.size = len(data)
            archive.addfile(info, BytesIO(data))
    return out.getvalue()
