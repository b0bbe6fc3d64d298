"""The embedded engine's store as a cleanup of its machine sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pywerf.backend.host import PROJECT_LABEL, HostContainer, HostImage
from pywerf.errors import ImageInUse, ImageNotFound

if TYPE_CHECKING:
    from pywerf.build.session import Session

__all__ = ["EmbeddedHost"]


class EmbeddedHost:
    """HostBackend of an open session. Containers end with their builds, and volumes are none."""

    name = "embedded engine"

    def __init__(self, session: Session) -> None:
        self._session = session

    @property
    def storage_path(self) -> str:
        """HostBackend."""
        return self._session.store.snapshots_dir  # where the bytes are, should it be a mount of its own

    def images(self, project: str = "") -> list[HostImage]:
        """HostBackend. An image that a named index lists is part of that one."""
        from pywerf.build.remove import dangling

        nameless = {record.id for record in dangling(self._session)}
        return [
            HostImage(record.id.hex, record.names, record.labels[PROJECT_LABEL], record.added, record.size)
            for record in self._session.store.images.list()
            if PROJECT_LABEL in record.labels
            and project in ("", record.labels[PROJECT_LABEL])
            and (record.names or record.id in nameless)
        ]

    def containers(self, project: str = "") -> list[HostContainer]:
        """HostBackend."""
        return []

    def volumes(self) -> list[str]:
        """HostBackend."""
        return []

    def remove_image(self, image: HostImage, *, force: bool = False) -> bool:
        """HostBackend: nothing goes while another process works in the store."""
        from pywerf.build.remove import listed_in, remove_images
        from pywerf.build.session import WORK

        with self._session.store.unleased(*WORK) as free:
            if not free:
                return False
        listing = listed_in(self._session, image.id)
        try:
            # all of its names, which the id alone would refuse; and an index goes before an image that it lists
            remove_images(self._session, [*listing, image.id], force=True, prune=False, everything=False)
        except ImageNotFound:
            return True
        except ImageInUse:
            return False
        return True

    def remove_container(self, container: HostContainer) -> bool:
        """HostBackend."""
        return False

    def remove_volume(self, name: str) -> bool:
        """HostBackend."""
        return False
