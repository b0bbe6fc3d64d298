"""`--squash`: the layers above the base become one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pywerf.backend.buildah.assemble import Assembled, make_manifest, squashed_config
from pywerf.backend.buildah.layer_of import hash_layer
from pywerf.backend.buildah.ref import Ref
from pywerf.snapshot.base import Snapshot
from pywerf.store.layers import LayerRecord
from pywerf.util.promise import Promise

if TYPE_CHECKING:
    from pywerf.backend.buildah.snapshots import Snapshots
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
    id = store.new_snapshot_id()
    try:
        snapshot = _merged(snapshots, id, below, new)
        info = hash_layer(driver, snapshot, clamp=options.clamp, created=image.config.created)
        if options.clamp is not None:
            store.memo.put("clamp", id, str(options.clamp).encode())
        one = Ref(below, Promise.of(info), snapshot=snapshot)
        parent = None if below is None else below.chain_id
        if info.empty:
            driver.remove(id)
        else:
            chain = one.chain_id
            assert chain is not None
            record = store.layers.put(LayerRecord(chain, parent, info.diff_id, info.size, snapshot=id))
            if record.snapshot != id:
                driver.remove(id)  # this very layer was made before
    except BaseException:
        driver.remove(id)
        raise
    return make_manifest(
        squashed_config(image.config, info, base_layers),
        [layer.info.result() for layer in (base if info.empty else [*base, one])],
        image_format=options.image_format,
        annotations=image.manifest.annotations,
    )


def _merged(snapshots: Snapshots, id: str, below: Ref | None, new: list[Ref]) -> Snapshot:
    """A snapshot with all changes of the new layers on top of `below`."""
    driver = snapshots.driver
    top = snapshots.of(new[-1])
    base = snapshots.of(below)
    if driver.layer_form == "plain":
        driver.commit(driver.prepare(id, top))
        return snapshots.child(id, base)
    from pywerf.backend.buildah.merge_layers import merge_layer

    snapshot = driver.prepare(id, base)
    for layer in new:
        assert layer.snapshot is not None
        merge_layer(driver.layer_dir(layer.snapshot), driver.layer_dir(snapshot), driver.xattr_namespace)
    return driver.commit(snapshot)
