"""The bytes of a layer for a push: from the store, from where it was seen, or made again from its snapshot."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from pywerf.errors import BuildError
from pywerf.layer.pump import written_chunks
from pywerf.oci.descriptor import Descriptor
from pywerf.oci.digest import Digest
from pywerf.oci.media_types import OCI_LAYER, Compression

if TYPE_CHECKING:
    from pywerf.build.bases import Found
    from pywerf.build.session import Session

__all__ = ["LayerBytes"]


class LayerBytes:
    """One layer of an image, by its index. Every method gives the bytes from their beginning."""

    def __init__(self, session: Session, found: Found, index: int, chains: Sequence[Digest]) -> None:
        self._session = session
        self._found = found
        self._layer = found.manifest.layers[index]
        self._chains = chains
        self._index = index
        self.diff_id = found.config.diff_ids[index]

    def plain(self) -> Descriptor:
        """The uncompressed tar. Its size is exact: it was measured when the layer was made or unpacked."""
        if self._layer.digest == self.diff_id:
            return self._layer
        record = self._session.store.layers.get(self._chains[self._index])
        size = record.size if record is not None and record.snapshot is not None else 0
        if not size:
            size = sum(map(len, self.tar()))
        return Descriptor(OCI_LAYER, self.diff_id, size)

    def stored(self, wanted: Descriptor) -> Iterator[bytes]:
        """The blob `wanted`: the layer as it is, or its plain tar. Raises BuildError when nobody has it."""
        blobs = self._session.store.blobs
        if blobs.has(wanted.digest) is not None:
            return blobs.chunks(wanted.digest)
        if wanted.digest == self.diff_id:
            return self.tar()
        if self._found.source is not None:
            return self._found.source.blob(wanted)
        raise BuildError(
            f"{self._found.name}: layer {wanted.digest} is not here", hint="pull the base image again, then build"
        )

    def tar(self) -> Iterator[bytes]:
        """The uncompressed tar, from wherever it can be had without unpacking anything."""
        store = self._session.store
        if store.blobs.has(self.diff_id) is not None:
            return store.blobs.chunks(self.diff_id)
        if self._layer.digest != self.diff_id:
            from pywerf.layer.compress import decompress

            return decompress(self.stored(self._layer))
        record = store.layers.get(self._chains[self._index])
        if record is not None and record.blob is not None and store.blobs.has(record.blob.digest) is not None:
            # pulled compressed as well, by another image: a layer that others made cannot be made again from its files
            from pywerf.layer.compress import decompress

            return decompress(store.blobs.chunks(record.blob.digest))
        return self._from_snapshot()

    def _from_snapshot(self) -> Iterator[bytes]:
        from pywerf.backend.buildah.layer_of import write_layer
        from pywerf.snapshot.base import Snapshot

        store, snapshots = self._session.store, self._session.snapshots
        ids: list[str] = []
        for chain in self._chains[: self._index + 1]:
            record = store.layers.get(chain)
            if record is None or record.snapshot is None:
                ids = []
                break
            ids.append(record.snapshot)
        if not ids:
            ids = self._unpacked_ids()
        ids.reverse()
        snapshot = Snapshot(ids[0], snapshots.driver.name, tuple(ids[1:]), True)
        clamp = store.memo.get("clamp", snapshot.id)
        return written_chunks(
            lambda write: write_layer(snapshots.driver, snapshot, write, clamp=None if clamp is None else int(clamp))
        )

    def _unpacked_ids(self) -> list[str]:
        """The ids of the snapshots up to this layer, those that were not unpacked being unpacked now."""
        bases = self._session.bases("never")
        bases.add(self._found)
        ref = bases.ref(self._found.op)
        assert ref is not None
        layer = ref.stack()[self._index]
        snapshot = self._session.snapshots.of(layer)
        assert snapshot is not None
        return [*reversed(snapshot.parents), snapshot.id]

    def compressed(
        self, compression: Compression, level: int | None, counted: Callable[[Iterator[bytes]], Iterator[bytes]]
    ) -> Iterator[bytes]:
        """The tar, compressed while it is read."""
        from pywerf.layer.compress import compressor

        def produce(write: Callable[[bytes], object]) -> None:
            packer = compressor(compression, write, level=level)
            chunks = self.tar()
            try:
                for chunk in counted(chunks):
                    packer.write(chunk)
                packer.close()
            except BaseException:
                packer.abort()
                raise
            finally:
                close = getattr(chunks, "close", None)
                if close is not None:  # a file or a thread is behind it
                    close()

        return written_chunks(produce)
