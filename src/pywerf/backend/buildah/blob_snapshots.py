"""Refs where there are no snapshots: files are read from the blobs of layers, which are all that is kept."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NoReturn

from pywerf.backend.buildah.blob_index import LayerIndex
from pywerf.backend.buildah.blob_tree import BlobTree
from pywerf.backend.buildah.ref import Ref
from pywerf.backend.buildah.snapshots import Snapshots
from pywerf.errors import DigestMismatch, SnapshotError, WerfError
from pywerf.linux.mount import Mount
from pywerf.oci.digest import Digest
from pywerf.snapshot.base import Snapshot
from pywerf.util.filetree import FileTree

if TYPE_CHECKING:
    from pywerf.backend.buildah.unpack_layers import LayerJob
    from pywerf.store.store import Store

__all__ = ["BlobSnapshots", "NoSnapshots"]


class NoSnapshots:
    """The Snapshotter of rung 5: there are none, and none can be made. `removed` are snapshots of other drivers."""

    name = "blobs"
    layer_form: Literal["overlay", "plain"] = "plain"
    xattr_namespace: Literal["trusted", "user"] = "user"
    independent_layers = False

    def exists(self, id: str) -> bool:
        """Never."""
        return False

    def prepare(self, id: str, parent: Snapshot | None) -> Snapshot:
        """Raises SnapshotError, as all that follow but `remove`."""
        self._refuse()

    def commit(self, snapshot: Snapshot) -> Snapshot:
        self._refuse()

    def rootfs(self, snapshot: Snapshot, *, stubs: str | None = None, writable: bool = True) -> Mount:
        self._refuse()

    def layer_dir(self, snapshot: Snapshot) -> str:
        self._refuse()

    def view(self, snapshot: Snapshot) -> FileTree:
        self._refuse()

    def release(self, mount: Mount) -> None:
        """There is nothing to release."""

    def remove(self, id: str) -> None:
        """There is nothing to remove."""

    def _refuse(self) -> NoReturn:
        raise SnapshotError(
            "files cannot be unpacked on rung 5 of the ladder (neither root nor namespaces)",
            hint="`werf host doctor` shows what would give another rung",
        )


class BlobSnapshots(Snapshots):
    """See Snapshots: `tree` gives files as ever, `of` only sees to it that all layers are here."""

    def __init__(self, store: Store) -> None:
        super().__init__(store, NoSnapshots())
        self._trees: dict[Digest, BlobTree] = {}

    def of(self, ref: Ref | None) -> Snapshot | None:
        """Fetch the layers that are not here; always None."""
        if ref is not None:
            with self._lock:
                self._bring(ref)
        return None

    def tree(self, ref: Ref | None) -> FileTree | None:
        """See Snapshots.tree."""
        if ref is None or ref.chain_id is None:
            return None
        with self._lock:
            self._bring(ref)
            tree = BlobTree()
            for item in ref.layers():
                chain = item.chain_id
                assert chain is not None
                known = self._trees.get(chain)
                if known is None:
                    known = tree.with_layer(self._index(item))
                    self._trees[chain] = known
                tree = known
            return tree

    def unpack_all(self, jobs: Sequence[LayerJob]) -> None:
        """Bring the layers' blobs here, verified. Raises DigestMismatch, ArchiveError, and what their chunks raise."""
        for job in jobs:
            self._verify(job)

    def _bring(self, ref: Ref) -> None:
        for item in ref.layers():
            if self._is_here(item):
                continue
            if item.fetch is not None:
                item.fetch()
                item.fetch = None
            if not self._is_here(item):
                chain = item.chain_id
                assert chain is not None
                self._verify(self._job(item, Snapshot(str(chain), self.driver.name)))

    def _is_here(self, ref: Ref) -> bool:
        chain = ref.chain_id
        record = None if chain is None else self.store.layers.get(chain)
        return record is not None and record.blob is not None and self.store.blobs.has(record.blob.digest) is not None

    def _verify(self, job: LayerJob) -> None:
        """Read a blob to its end, which keeps it in the store, and record the layer."""
        from pywerf.layer.compress import decompress
        from pywerf.store.layers import LayerRecord

        try:
            state = hashlib.sha256()
            size = 0
            chunks = job.chunks()
            for chunk in decompress(chunks):
                state.update(chunk)
                size += len(chunk)
            for _ in chunks:  # what follows the compressed data is a part of the blob
                pass
            diff_id = Digest.sha256(state.hexdigest())
            if diff_id != job.diff_id:
                raise DigestMismatch("layer", str(job.diff_id), str(diff_id))
        except WerfError as error:
            if job.lazy is not None:
                job.lazy.refuse(error)
            raise
        self.store.layers.put(LayerRecord(job.chain, job.parent, job.diff_id, size, blob=job.blob))
        if job.blob is not None:
            self.store.layers.set_blob(job.chain, job.blob)
        if job.lazy is not None:
            job.lazy.verified()

    def _index(self, ref: Ref) -> LayerIndex:
        from pywerf.layer.compress import decompress

        chain = ref.chain_id
        record = None if chain is None else self.store.layers.get(chain)
        assert record is not None
        assert record.blob is not None
        blobs, digest = self.store.blobs, record.blob.digest
        plain = blobs.path(digest) if digest == record.diff_id else ""
        return LayerIndex(len(self._trees) + 1, lambda: decompress(blobs.chunks(digest)), plain, self.store.scratch_dir)
