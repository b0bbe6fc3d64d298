"""What cleaning a machine asks of a backend: the images of projects, and what builds have left behind."""

from __future__ import annotations

from typing import Protocol

import msgspec

__all__ = ["HostBackend", "HostContainer", "HostImage"]

PROJECT_LABEL = "werf"


class HostImage(msgspec.Struct, frozen=True):
    """An image with the label `werf`, whose value is `project`.

    `used`: seconds since 1970, when it was last made, tagged or brought here (build/last_use.py tells which images
    builds have found); `size` in bytes; without `names` it is a dangling one.
    """

    id: str
    names: tuple[str, ...]
    project: str
    used: float
    size: int = 0


class HostContainer(msgspec.Struct, frozen=True):
    """A container of a build of ours, or of an image with the label `werf`. `left`: its builder is gone."""

    id: str
    image: str
    running: bool
    left: bool = False


class HostBackend(Protocol):
    """A backend as a cleanup of its machine sees it. Raises WerfError."""

    @property
    def name(self) -> str:
        """What messages call it."""

    @property
    def storage_path(self) -> str:
        """A directory on the volume that the images are on; empty when it is not on this machine."""

    def images(self, project: str = "") -> list[HostImage]:
        """The images of all projects, or of one."""

    def containers(self, project: str = "") -> list[HostContainer]:
        """The containers of those images, and those that builds have left behind."""

    def volumes(self) -> list[str]:
        """The volumes without a name that nothing uses."""

    def remove_image(self, image: HostImage, *, force: bool = False) -> bool:
        """Remove an image with all its names; False: it is in use (then `force` takes it all the same, if it can)."""

    def remove_container(self, container: HostContainer) -> bool:
        """Stop and remove a container with its volumes; False when it went by itself."""

    def remove_volume(self, name: str) -> bool:
        """Remove a volume; False: it is in use."""
