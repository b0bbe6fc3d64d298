"""Brings refs to disk: unpacks the layers that have no snapshot yet, as late as possible, several at a time."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from pywerf.backend.buildah.ref import Ref
from pywerf.errors import StoreError
from pywerf.snapshot.base import Snapshot, Snapshotter

if TYPE_CHECKING:
    from pywerf.backend.buildah.unpack_layers import LayerJob
    from pywerf.store.store import Store
    from pywerf.util.filetree import FileTree

__all__ = ["Snapshots"]


class Snapshots:
    """The unpacked form of refs, in one store with one driver. Safe between threads and processes."""

    def __init__(self, store: Store, driver: Snapshotter) -> None:
        self.store = store
        self.driver = driver
        self._lock = threading.Lock()

    def of(self, ref: Ref | None) -> Snapshot | None:
        """The snapshot of a file system, unpacked now if it was not; None for the empty one."""
        if ref is None:
            return None
        if ref.snapshot is not None:
            return ref.snapshot
        with self._lock:
            return self._materialize(ref)

    def tree(self, ref: Ref | None) -> FileTree | None:
        """The files of a file system, for reading without mounting; None for the empty one."""
        snapshot = self.of(ref)
        return None if snapshot is None else self.driver.view(snapshot)

    def _materialize(self, ref: Ref) -> Snapshot | None:
        stack = ref.stack()
        for item in stack:
            if item.snapshot is None and item.fetch is not None and not item.info.result().empty:
                if self._known(item) is None:
                    item.fetch()
                item.fetch = None
        jobs: list[LayerJob] = []
        found: list[Snapshot | None] = []
        below: Snapshot | None = None
        for item in stack:
            if item.snapshot is not None:
                below = item.snapshot
            elif not item.info.result().empty:
                known = self._known(item)
                if known is None:
                    below = self.child(self.store.new_snapshot_id(), below)
                    jobs.append(self._job(item, below))
                else:
                    below = self.child(known, below)
            found.append(below)
        if jobs:
            self.unpack_all(jobs)
            return self._materialize(ref)  # another process may have been first with some of them
        # only now: whoever sees a snapshot in a ref takes it without asking
        for item, snapshot in zip(stack, found, strict=True):
            item.snapshot = snapshot
            item.lazy = None
        return below

    def unpack_all(self, jobs: Sequence[LayerJob]) -> None:
        """See unpack_layers.unpack_layers."""
        from pywerf.backend.buildah.unpack_layers import unpack_layers

        unpack_layers(self.store, self.driver, jobs)

    def _job(self, ref: Ref, snapshot: Snapshot) -> LayerJob:
        from pywerf.backend.buildah.unpack_layers import LayerJob

        info = ref.info.result()
        chain = ref.chain_id
        assert chain is not None
        record = self.store.layers.get(chain)
        blob = info.descriptor or (record.blob if record is not None else None)
        parent = None if ref.parent is None else ref.parent.chain_id
        if ref.lazy is not None and blob is not None:
            return LayerJob(snapshot, info.diff_id, chain, parent, blob, ref.lazy.chunks, ref.lazy)
        if blob is None or self.store.blobs.has(blob.digest) is None:
            raise StoreError(
                f"layer {info.diff_id} is in the store neither as a blob nor as a snapshot",
                hint="build with --no-cache, or pull the base image again",
            )
        return LayerJob(snapshot, info.diff_id, chain, parent, blob, partial(self.store.blobs.chunks, blob.digest))

    def child(self, id: str, below: Snapshot | None) -> Snapshot:
        """The value of a snapshot `id` whose parent is `below`."""
        parents = () if below is None else (below.id, *below.parents)
        return Snapshot(id=id, driver=self.driver.name, parents=parents, committed=True)

    def _known(self, ref: Ref) -> str | None:
        """The id of the snapshot that the store has for this very chain of layers."""
        chain = ref.chain_id
        record = None if chain is None else self.store.layers.get(chain)
        if record is None or record.snapshot is None or not self.driver.exists(record.snapshot):
            return None
        return record.snapshot
