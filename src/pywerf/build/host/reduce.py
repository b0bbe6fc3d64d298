"""Makes room on a backend's volume, and removes all of a project's images from a machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from pywerf.errors import ImageInUse

if TYPE_CHECKING:
    from pywerf.backend.host import HostBackend, HostImage
    from pywerf.build.limits import VolumeLimit

__all__ = ["Reduced", "purge_images", "reduce_images"]

_YOUNG = 15 * 60.0  # seconds: a build may be about to name it, or to stand on it
_LATELY = 3 * 3600.0


class Reduced(msgspec.Struct, frozen=True):
    """What was removed, or would be. `images` by their first name, or id; `left`: bytes over what is allowed."""

    images: tuple[str, ...] = ()
    containers: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    left: int = 0


def _never(image: str) -> float:
    return 0.0


def reduce_images(
    host: HostBackend,
    limit: VolumeLimit,
    *,
    project: str = "",
    force: bool = False,
    dry_run: bool = False,
    last_use: Callable[[str], float] = _never,
) -> Reduced:
    """Where the volume is fuller than allowed: nameless volumes and dangling images go, then what builds have left
    behind, then images that were used longest ago, until the volume is the margin below it.

    What is in use stays; with `force` containers of projects' images are stopped, and go. `last_use` tells when a build
    used an image (by its id) that it did not make. Raises WerfError.
    """
    path = host.storage_path
    if not path or not limit.over(path):
        return Reduced()
    work = _Work(host, limit, path, force=force, dry_run=dry_run)
    now = time.time()
    for volume in host.volumes():
        if work.dry_run or host.remove_volume(volume):
            work.volumes.append(volume)
    images = host.images(project)
    used = {image.id: max(image.used, last_use(image.id)) for image in images}
    candidates = [image for image in images if now - used[image.id] > _YOUNG]
    for image in candidates:
        if not image.names:
            work.remove(image)
    if work.is_over():
        for container in host.containers(project):
            if (container.left or force) and (work.dry_run or host.remove_container(container)):
                work.containers.append(container.id)
    for image in sorted(candidates, key=lambda one: (used[one.id], one.id)):
        if not work.excess():
            break
        if image.names:
            work.remove(image)
    return work.done()


def purge_images(host: HostBackend, *, project: str = "", force: bool = False, dry_run: bool = False) -> Reduced:
    """Remove the images of all projects, or of one, but those that were used lately, and what builds have left behind.

    Raises ImageInUse before anything goes when containers use them, unless `force`: then these go first.
    """
    now = time.time()
    images = [image for image in host.images(project) if now - image.used > _LATELY]
    going = {image.id for image in images}
    containers = [one for one in host.containers(project) if one.left or one.image in going]
    using = [one for one in containers if not one.left]
    if using and not force:
        raise ImageInUse(
            f"containers use images of projects: {', '.join(one.id[:12] for one in using)}",
            hint="remove them first, or let --force do it",
        )
    work = _Work(host, None, "", force=force, dry_run=dry_run)
    for container in containers:
        if dry_run or host.remove_container(container):
            work.containers.append(container.id)
    # images that others stand on go after them
    left = sorted(images, key=lambda one: (-one.used, one.id))
    while left:
        stuck = [image for image in left if not work.remove(image)]
        if len(stuck) == len(left):
            break
        left = stuck
    return work.done()


class _Work:
    """What has been removed so far. A dry run counts sizes instead of looking at the volume."""

    def __init__(self, host: HostBackend, limit: VolumeLimit | None, path: str, *, force: bool, dry_run: bool) -> None:
        self.host = host
        self.limit = limit
        self.path = path
        self.force = force
        self.dry_run = dry_run
        self.images: list[str] = []
        self.containers: list[str] = []
        self.volumes: list[str] = []
        self._freed = 0

    def excess(self) -> int:
        """How many bytes have to go."""
        return 0 if self.limit is None else max(0, self.limit.excess(self.path) - self._freed)

    def is_over(self) -> bool:
        """Whether there is still more than allowed."""
        return self.limit is not None and self.limit.over(self.path) > self._freed

    def remove(self, image: HostImage) -> bool:
        """Remove an image; False when it is in use."""
        if not self.dry_run and not self.host.remove_image(image, force=self.force):
            return False
        if self.dry_run:
            self._freed += image.size
        self.images.append(image.names[0] if image.names else image.id)
        return True

    def done(self) -> Reduced:
        """The result."""
        left = 0 if self.limit is None else max(0, self.limit.over(self.path) - self._freed)
        return Reduced(tuple(self.images), tuple(self.containers), tuple(self.volumes), left)
