"""Brings refs to disk: unpacks the layers that have no snapshot yet, as late as possible, several at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from pywerf.backend.buildah.ref import Ref
from pywerf.errors import DigestMismatch, StoreError, WerfError
from pywerf.oci.descriptor import Descriptor
from pywerf.oci.digest import Digest
from pywerf.snapshot.base import Snapshot, Snapshotter
from pywerf.store.layers import LayerRecord
from pywerf.util.promise import Promise, run_in_thread

if TYPE_CHECKING:
    from pywerf.store.store import Store
    from pywerf.util.filetree import FileTree

__all__ = ["Snapshots"]

_AT_ONCE = 4


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
        wanted: list[tuple[Ref, Snapshot]] = []
        below: Snapshot | None = None
        for item in stack:
            if item.snapshot is None and not item.info.result().empty:
                known = self._known(item)
                if known is None:
                    known = self.child(self.store.new_snapshot_id(), below)
                    wanted.append((item, known))
                item.snapshot = self.child(known.id, below)
            below = item.snapshot or below
            item.snapshot = below
        try:
            self._unpack_all(wanted)
        except BaseException:
            for item in stack:
                if any(item is other for other, _ in wanted):
                    item.snapshot = None
            raise
        return below

    def child(self, id: str, below: Snapshot | None) -> Snapshot:
        """The value of a snapshot `id` whose parent is `below`."""
        parents = () if below is None else (below.id, *below.parents)
        return Snapshot(id=id, driver=self.driver.name, parents=parents, committed=True)

    def _known(self, ref: Ref) -> Snapshot | None:
        """The snapshot that the store has for this very chain of layers."""
        chain = ref.chain_id
        record = None if chain is None else self.store.layers.get(chain)
        if record is None or record.snapshot is None or not self.driver.exists(record.snapshot):
            return None
        return Snapshot(id=record.snapshot, driver=self.driver.name, parents=())

    def prepare(self, snapshot: Snapshot) -> None:
        """Make the empty snapshot into which a layer will be unpacked; its parents are prepared before it."""
        parent = None
        if snapshot.parents:
            parent = Snapshot(snapshot.parents[0], snapshot.driver, snapshot.parents[1:], True)
        self.driver.prepare(snapshot.id, parent)

    def _unpack_all(self, wanted: list[tuple[Ref, Snapshot]]) -> None:
        if not self.driver.independent_layers or len(wanted) == 1:
            for ref, snapshot in wanted:
                self.prepare(snapshot)
                self._unpack_one(ref, snapshot)
            return
        for _, snapshot in wanted:
            self.prepare(snapshot)
        gate = threading.Semaphore(_AT_ONCE)

        def work(ref: Ref, snapshot: Snapshot, below: Promise[None] | None) -> None:
            try:
                self._unpack_one(ref, snapshot, below)
            finally:
                gate.release()

        running: list[Promise[None]] = []
        for ref, snapshot in wanted:
            gate.acquire()  # in order, here: a layer that waits for the one below never keeps it from starting
            below = running[-1] if running else None
            running.append(run_in_thread(partial(work, ref, snapshot, below), "unpack"))
        for promise in running:
            promise.result()

    def _unpack_one(self, ref: Ref, snapshot: Snapshot, below: Promise[None] | None = None) -> None:
        info = ref.info.result()
        chain = ref.chain_id
        assert chain is not None
        record = self.store.layers.get(chain)
        blob = info.descriptor or (record.blob if record is not None else None)
        lazy = ref.lazy
        if lazy is not None and blob is not None:
            try:
                ref.snapshot = self._unpack_blob(ref, lazy.chunks(), snapshot, blob, below)
            except WerfError as error:
                lazy.refuse(error)
                raise
            lazy.verified()
            ref.lazy = None
            return
        if blob is None or self.store.blobs.has(blob.digest) is None:
            self.driver.remove(snapshot.id)
            raise StoreError(
                f"layer {info.diff_id} is in the store neither as a blob nor as a snapshot",
                hint="build with --no-cache, or pull the base image again",
            )
        ref.snapshot = self._unpack_blob(ref, self.store.blobs.chunks(blob.digest), snapshot, blob, below)

    def _unpack_blob(
        self, ref: Ref, chunks: Iterator[bytes], snapshot: Snapshot, blob: Descriptor, below: Promise[None] | None
    ) -> Snapshot:
        chain = ref.chain_id
        assert chain is not None
        parent = None if ref.parent is None else ref.parent.chain_id
        return self.unpack(chunks, ref.info.result().diff_id, chain, parent, snapshot, blob, below)

    def unpack(
        self,
        chunks: Iterator[bytes],
        diff_id: Digest,
        chain: Digest,
        parent: Digest | None,
        snapshot: Snapshot,
        blob: Descriptor | None,
        below: Promise[None] | None = None,
    ) -> Snapshot:
        """Unpack a layer's stream (compressed or not) into `snapshot`, which is prepared; verify and record it.

        `below` is kept when the layer below has been unpacked, None when it was before.
        When another process has unpacked the same chain meanwhile, its snapshot is the one that counts.
        """
        from pywerf.layer.apply import apply_layer, inherit_directories
        from pywerf.layer.compress import decompress

        driver = self.driver
        try:
            applied = apply_layer(
                decompress(chunks),
                driver.layer_dir(snapshot),
                form=driver.layer_form,
                overlay_xattr=driver.xattr_namespace,
            )
            if applied.diff_id != diff_id:
                raise DigestMismatch("unpacked layer", str(diff_id), str(applied.diff_id))
            if applied.implicit and snapshot.parents and driver.layer_form == "overlay":
                if below is not None:
                    below.result()
                lowers = [driver.layer_dir(Snapshot(id, driver.name, (), True)) for id in snapshot.parents]
                inherit_directories(driver.layer_dir(snapshot), applied.implicit, lowers)
            driver.commit(snapshot)
        except BaseException:
            driver.remove(snapshot.id)
            raise
        record = self.store.layers.put(
            LayerRecord(
                chain_id=chain, parent=parent, diff_id=diff_id, size=applied.size, blob=blob, snapshot=snapshot.id
            )
        )
        if record.snapshot is not None and record.snapshot != snapshot.id:
            driver.remove(snapshot.id)
            return Snapshot(record.snapshot, driver.name, snapshot.parents, True)
        return snapshot
