"""`--squash`: the layers above the base become one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pywerf.backend.buildah.assemble import Assembled, make_manifest, squashed_config
from pywerf.backend.buildah.layer_of import hash_layer, write_layer
from pywerf.backend.buildah.ref import Ref
from pywerf.build.layer_bytes import written_chunks
from pywerf.layer.apply import apply_layer
from pywerf.store.layers import LayerRecord
from pywerf.util.promise import Promise

if TYPE_CHECKING:
    from pywerf.build.options import BuildOptions
    from pywerf.build.session import Session

__all__ = ["squash"]


def squash(session: Session, image: Assembled, ref: Ref, base_layers: int, options: BuildOptions) -> Assembled:
    """The same image with one layer above its first `base_layers`; those stay as they are."""
    layers = ref.layers()
    base, new = layers[:base_layers], layers[base_layers:]
    if len(new) < 2:
        return image
    snapshots, store = session.snapshots, session.store
    driver = snapshots.driver
    below = base[-1] if base else None
    snapshot = driver.prepare(store.new_snapshot_id(), snapshots.of(below))
    try:
        for layer in new:
            apply_layer(
                _tar(session, layer),
                driver.layer_dir(snapshot),
                form=driver.layer_form,
                overlay_xattr=driver.xattr_namespace,
            )
        snapshot = driver.commit(snapshot)
        info = hash_layer(driver, snapshot, clamp=options.timestamp, created=image.config.created)
    except BaseException:
        driver.remove(snapshot.id)
        raise
    if options.timestamp is not None:
        store.memo.put("clamp", snapshot.id, str(options.timestamp).encode())
    one = Ref(below, Promise.of(info), snapshot=snapshot)
    chain = one.chain_id
    assert chain is not None
    parent = None if below is None else below.chain_id
    store.layers.put(LayerRecord(chain, parent, info.diff_id, info.size, snapshot=snapshot.id))
    return make_manifest(
        squashed_config(image.config, info, base_layers),
        [layer.info.result() for layer in (*base, one)],
        image_format=options.image_format,
        annotations=dict(options.annotations),
    )


def _tar(session: Session, ref: Ref) -> Iterator[bytes]:
    """A layer's tar: its blob, or what its snapshot gives."""
    from pywerf.layer.compress import decompress

    blob = ref.info.result().descriptor
    if blob is not None and session.store.blobs.has(blob.digest) is not None:
        return decompress(session.store.blobs.chunks(blob.digest))
    snapshot = session.snapshots.of(ref)
    assert snapshot is not None
    driver = session.snapshots.driver
    return written_chunks(lambda write: write_layer(driver, snapshot, write, clamp=None))
