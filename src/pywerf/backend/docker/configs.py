"""Other configs for the daemon's images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pywerf.oci.digest import Digest

if TYPE_CHECKING:
    from pywerf.backend.docker.images import DockerImages
    from pywerf.backend.docker.recast import Recaster

__all__ = ["DockerConfigs"]


class DockerConfigs:
    """ConfigRewriter of a daemon."""

    def __init__(self, images: DockerImages, recaster: Recaster) -> None:
        self._images = images
        self._recaster = recaster

    def rewrite(self, image: str, change: Callable[[bytes], bytes], *, tags: Sequence[str]) -> Digest:
        """ConfigRewriter."""
        original = self._recaster.original(image)
        config = change(original.config.to_json())
        made: list[str] = []
        try:
            id = self._recaster.make(original, config, f"the config of {image}", made)
            self._images.name(id, tags)
        except BaseException:
            self._images.drop(made)
            raise
        return id
