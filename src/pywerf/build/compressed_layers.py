"""`build --disable-compression=false`: the layers that a build has made are compressed in the store already."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from pywerf.build.layer_bytes import LayerBytes
from pywerf.build.transfer import compressed_key
from pywerf.oci import media_types
from pywerf.oci.chain import chain_ids
from pywerf.oci.descriptor import Descriptor
from pywerf.oci.digest import Digest

if TYPE_CHECKING:
    from pywerf.build.session import Session
    from pywerf.store.images import ImageRecord

__all__ = ["compress_layers"]


def compress_layers(session: Session, record: ImageRecord, base_layers: int) -> ImageRecord:
    """The same image with gzip layers above the first `base_layers`, which stay as the base has them. Idempotent."""
    store = session.store
    found = session.bases("never").of_record(record, None)
    assert found is not None
    chains = chain_ids(found.config.diff_ids)
    docker = found.manifest.media_type == media_types.DOCKER_MANIFEST
    kind = media_types.layer_media_type("gzip", "docker" if docker else "oci")
    layers = list(found.manifest.layers)
    for index in range(base_layers, len(layers)):
        if media_types.layer_compression(layers[index].media_type) == "none":
            layers[index] = Descriptor(kind, *_compressed(session, LayerBytes(session, found, index, chains)))
    manifest = msgspec.structs.replace(found.manifest, layers=tuple(layers))
    return store.images.put(manifest.to_json(), manifest.media_type, found.config_bytes, size=record.size)


def _compressed(session: Session, layer: LayerBytes) -> tuple[Digest, int]:
    """Digest and size of the layer's gzip blob, which is in the store then; what a push would send."""
    store = session.store
    key = compressed_key(layer.diff_id, "gzip", None)
    kept = store.memo.get("compressed", key)
    if kept is not None:
        digest, size = Digest.parse(kept.decode().partition(" ")[0]), int(kept.decode().partition(" ")[2])
        if store.blobs.touch(digest, size):
            return digest, size
    with store.blobs.writer(hashing=True) as writer:
        for chunk in layer.compressed("gzip", None, _as_it_is):
            writer.write(chunk)
        digest, size = writer.commit()
    store.memo.put("compressed", key, f"{digest} {size}".encode())
    return digest, size


def _as_it_is(chunks: Iterator[bytes]) -> Iterator[bytes]:
    return chunks
