"""The layer of a frozen snapshot: hashed now, made again as a stream when a push needs its bytes."""

from __future__ import annotations

from collections.abc import Callable

from pywerf.backend.buildah.ref import LayerInfo
from pywerf.layer.diff import diff_trees, write_overlay_diff
from pywerf.layer.sink import LayerSink
from pywerf.layer.tar_write import TarWriter
from pywerf.snapshot.base import Snapshot, Snapshotter

__all__ = ["hash_layer", "write_layer"]


def write_layer(
    driver: Snapshotter,
    snapshot: Snapshot,
    write: Callable[[bytes], object],
    *,
    clamp: int | None,
) -> bool:
    """Write a snapshot's layer as tar to `write`; False when the snapshot changed nothing.

    The bytes are the same each time, as long as `clamp` is.
    """
    writer = TarWriter(write, clamp=clamp)
    upper = driver.layer_dir(snapshot)
    below = [driver.layer_dir(Snapshot(id, snapshot.driver, (), True)) for id in snapshot.parents]
    if driver.layer_form == "overlay":
        summary = write_overlay_diff(upper, below, writer)
    else:
        from tempfile import TemporaryDirectory

        with TemporaryDirectory() as empty:
            summary = diff_trees(upper, below[0] if below else empty, writer)
    writer.close()
    return not summary.empty


def hash_layer(driver: Snapshotter, snapshot: Snapshot, *, clamp: int | None, created: str) -> LayerInfo:
    """The diff_id and size of a snapshot's layer; the tar itself is kept nowhere."""
    with LayerSink() as sink:
        changed = write_layer(driver, snapshot, sink.write, clamp=clamp)
        total = sink.finish()
    return LayerInfo(total.diff_id, total.size, empty=not changed, created=created)
