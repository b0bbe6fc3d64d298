"""A daemon as a cleanup of its machine sees it: images of projects, containers and volumes that were left behind."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from pywerf.backend.host import PROJECT_LABEL, HostContainer, HostImage
from pywerf.util.process_mark import is_gone
from pywerf.util.rfc3339 import nanoseconds

if TYPE_CHECKING:
    from pywerf.backend.docker.daemon import Daemon

__all__ = ["CONTAINER_LABEL", "DockerHost"]

CONTAINER_LABEL = "werf-builder"
"""In containers of builds: the mark of the process that builds."""

_HEX = frozenset("0123456789abcdef")


class DockerHost:
    """HostBackend of a daemon. `path` stands for where the daemon says that its images are."""

    name = "Docker"

    def __init__(self, daemon: Daemon, path: str = "") -> None:
        self._daemon = daemon
        self._path = path

    @property
    def storage_path(self) -> str:
        """HostBackend."""
        if self._path:
            return self._path
        if self._daemon.endpoint.scheme != "unix":
            return ""
        with self._daemon.translated("info"):
            root = str(self._daemon.api.info().get("DockerRootDir") or "")
        return root if os.path.isdir(root) else ""

    def images(self, project: str = "") -> list[HostImage]:
        """HostBackend."""
        wanted = f"{PROJECT_LABEL}={project}" if project else PROJECT_LABEL
        with self._daemon.translated("images"):
            listed: list[dict[str, Any]] = self._daemon.api.images(filters={"label": wanted})
            return [self._image(item) for item in listed]

    def containers(self, project: str = "") -> list[HostContainer]:
        """HostBackend."""
        wanted = f"{PROJECT_LABEL}={project}" if project else PROJECT_LABEL
        found: dict[str, HostContainer] = {}
        with self._daemon.translated("containers"):
            # a container has the labels of its image
            for label in (wanted, CONTAINER_LABEL):
                for item in self._daemon.api.containers(all=True, filters={"label": label}):
                    mark = (item.get("Labels") or {}).get(CONTAINER_LABEL)
                    if project and label == CONTAINER_LABEL and not mark:
                        continue
                    left = mark is not None and is_gone(str(mark)) is True
                    running = str(item.get("State")) in ("running", "paused", "restarting")
                    if label == wanted or left:
                        found[str(item["Id"])] = HostContainer(
                            str(item["Id"]), str(item.get("ImageID") or ""), running, left
                        )
        return list(found.values())

    def volumes(self) -> list[str]:
        """HostBackend."""
        with self._daemon.translated("volumes"):
            listed = self._daemon.api.volumes(filters={"dangling": True}).get("Volumes") or []
        names = [str(volume["Name"]) for volume in listed]
        # a volume that nobody named is called by 64 hexadecimal digits
        return [name for name in names if len(name) == 64 and _HEX.issuperset(name)]

    def remove_image(self, image: HostImage, *, force: bool = False) -> bool:
        """HostBackend."""
        import docker.errors

        with self._daemon.translated(f"remove {image.id}"):
            if not force and self._daemon.api.containers(all=True, filters={"ancestor": image.id}):
                return False  # the daemon would take all names away but the last one
            try:
                for name in image.names or (image.id,):
                    self._daemon.api.remove_image(name, force=force)
            except docker.errors.NotFound:
                return True
            except docker.errors.APIError as error:
                if error.status_code != 409:
                    raise
                return False
        return True

    def remove_container(self, container: HostContainer) -> bool:
        """HostBackend."""
        import docker.errors

        with self._daemon.translated(f"remove {container.id}"):
            try:
                self._daemon.api.remove_container(container.id, v=True, force=True)
            except docker.errors.NotFound:
                return False
            except docker.errors.APIError as error:
                if error.status_code != 409:  # it is going already
                    raise
                return False
        return True

    def remove_volume(self, name: str) -> bool:
        """HostBackend."""
        import docker.errors

        with self._daemon.translated(f"remove {name}"):
            try:
                self._daemon.api.remove_volume(name)
            except docker.errors.NotFound:
                return True
            except docker.errors.APIError as error:
                if error.status_code != 409:
                    raise
                return False
        return True

    def _image(self, item: dict[str, Any]) -> HostImage:
        names = tuple(str(tag) for tag in item.get("RepoTags") or () if "<none>" not in str(tag))
        found: dict[str, Any] = self._daemon.api.inspect_image(str(item["Id"]))  # type: ignore[no-untyped-call]  # incomplete stubs
        tagged = nanoseconds(str((found.get("Metadata") or {}).get("LastTagTime") or "")) / 1e9  # the year 1 is never
        return HostImage(
            str(item["Id"]),
            names,
            str((item.get("Labels") or {}).get(PROJECT_LABEL) or ""),
            max(float(item.get("Created") or 0), tagged),
            int(item.get("Size") or 0),
        )
