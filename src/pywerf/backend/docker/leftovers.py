"""Removes what a build of the classic builder that came to nothing has left in the daemon."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from pywerf.errors import WerfError

if TYPE_CHECKING:
    from pywerf.backend.docker.daemon import Daemon

__all__ = ["Leftovers"]

_TRIES = 50  # a tenth of a second each: how long the daemon may take to stop what it was told to stop
_SETTLE = 3


class Leftovers:
    """Images without a name that the build has made, and the container of a command that was cut short.

    The builder keeps the results of all steps for the next build's cache; those of a build that failed would stay
    for good when no next build comes, as dangling images.
    """

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._parent = ""
        self._children: set[str] | None = None

    def before(self, last: str) -> None:
        """Note what stands on the last known image, before the builder is told to stop."""
        self._parent = last
        try:
            with self._daemon.translated():
                self._children = set(self._standing_on(last)) if last else set()
        except WerfError:
            self._children = None

    def remove(self, made: list[tuple[str, str]], container: str) -> None:
        """Remove the images in `made` (each with the one it stands on), and what the daemon finished meanwhile.

        What cannot be removed, because somebody else uses it by now, stays. Never raises: the build's own error is
        what counts.
        """
        try:
            with self._daemon.translated():
                if self._children is not None:
                    self._wait_for(container)
                    for _ in range(_SETTLE):
                        for image in set(self._standing_on(self._parent)) - self._children:
                            self._remove_image(image)
                        time.sleep(0.1)
                elif container:
                    self._remove_container(container)
                for image, parent in reversed(made):
                    found = self._inspect(image)
                    # a command's output may look like the builder's words: only what fits is removed
                    if found and not found.get("RepoTags") and _same(str(found.get("Parent", "")), parent):
                        self._remove_image(image)
        except (WerfError, KeyboardInterrupt):
            return

    def _standing_on(self, parent: str) -> list[str]:
        if not parent:
            return []
        listed: list[dict[str, Any]] = self._daemon.api.images(all=True)
        return [
            str(image["Id"])
            for image in listed
            if _same(str(image.get("ParentId", "")), parent) and not _names(image.get("RepoTags"))
        ]

    def _wait_for(self, container: str) -> None:
        """Until the container of the interrupted command is gone; a daemon that does not remove it is helped."""
        if not container:
            return
        import docker.errors

        for _ in range(_TRIES):
            try:
                self._daemon.api.inspect_container(container)
            except docker.errors.NotFound:
                return
            time.sleep(0.1)
        self._remove_container(container)

    def _remove_container(self, container: str) -> None:
        import docker.errors

        try:
            self._daemon.api.remove_container(container, force=True)
        except docker.errors.APIError:
            return  # it is gone, or going

    def _inspect(self, image: str) -> dict[str, Any] | None:
        import docker.errors

        try:
            found: dict[str, Any] = self._daemon.api.inspect_image(image)  # type: ignore[no-untyped-call]  # incomplete stubs
        except docker.errors.NotFound:
            return None
        return found

    def _remove_image(self, image: str) -> None:
        import docker.errors

        try:
            self._daemon.api.remove_image(image, noprune=True)
        except docker.errors.APIError:
            return  # something stands on it


def _same(long: str, short: str) -> bool:
    return bool(short) and long.removeprefix("sha256:").startswith(short.removeprefix("sha256:")[:12])


def _names(tags: object) -> list[str]:
    return [tag for tag in tags if tag != "<none>:<none>"] if isinstance(tags, list) else []
