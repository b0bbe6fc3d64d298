"""An image source whose images have another config: the layers stay, manifests and indexes are made anew."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from msgspec.structs import replace

from pywerf.oci.descriptor import Descriptor
from pywerf.oci.digest import Digest
from pywerf.oci.image_io import ImageSource
from pywerf.oci.manifest import Index, Manifest, parse_manifest

__all__ = ["ChangedSource"]


class ChangedSource:
    """ImageSource of the images of `source`, each with the config (JSON) that `change` makes of its own."""

    def __init__(self, source: ImageSource, change: Callable[[bytes], bytes]) -> None:
        self._source = source
        self._change = change
        self._configs: dict[Digest, bytes] = {}
        self._manifests: dict[Digest, tuple[bytes, str]] = {}
        self._top: tuple[bytes, str] | None = None
        self._lock = threading.Lock()

    def manifest(self, digest: Digest | None = None) -> tuple[bytes, str]:
        """ImageSource: digests are those of the changed images."""
        with self._lock:
            if self._top is None:
                self._top = self._changed(*self._source.manifest())
            return self._top if digest is None else self._manifests[digest]

    def blob(self, descriptor: Descriptor) -> Iterator[bytes]:
        """ImageSource."""
        config = self._configs.get(descriptor.digest)
        return self._source.blob(descriptor) if config is None else iter((config,))

    def _changed(self, data: bytes, media_type: str) -> tuple[bytes, str]:
        parsed = parse_manifest(data, media_type)
        new = self._index(parsed) if isinstance(parsed, Index) else self._image(parsed)
        made = new.to_json()
        self._manifests[Digest.of(made)] = made, new.media_type
        return made, new.media_type

    def _image(self, manifest: Manifest) -> Manifest:
        config = self._change(b"".join(self._source.blob(manifest.config)))
        digest = Digest.of(config)
        self._configs[digest] = config
        return replace(manifest, config=replace(manifest.config, digest=digest, size=len(config)))

    def _index(self, index: Index) -> Index:
        entries = []
        for entry in index.manifests:
            data, media_type = self._source.manifest(entry.digest)
            made, media_type = self._changed(data, media_type or entry.media_type)
            entries.append(replace(entry, digest=Digest.of(made), size=len(made), media_type=media_type))
        return replace(index, manifests=tuple(entries))
