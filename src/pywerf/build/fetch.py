"""Fetches layers: several at once, unpacked and stored while they come down the line."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from pywerf.oci.descriptor import Descriptor
from pywerf.oci.digest import Digest
from pywerf.oci.image_io import ImageSource
from pywerf.util.spans import spans_of

if TYPE_CHECKING:
    from pywerf.backend.buildah.snapshots import Snapshots
    from pywerf.snapshot.base import Snapshot
    from pywerf.store.store import Store
    from pywerf.util.events import Reporter

__all__ = ["LayerFetcher"]


class LayerFetcher:
    """Brings the layers of images into the store, as blobs and as snapshots. Safe between threads."""

    def __init__(self, store: Store, snapshots: Snapshots, reporter: Reporter, step: Callable[[], int]) -> None:
        self._store = store
        self._snapshots = snapshots
        self._reporter = reporter
        self._step = step

    def fetch_of(
        self,
        name: str,
        source: ImageSource,
        layers: Sequence[Descriptor],
        diff_ids: Sequence[Digest],
        chains: Sequence[Digest],
    ) -> Callable[[], None]:
        """A function that fetches, once, all layers of an image that are not here."""
        lock = threading.Lock()
        done = False

        def fetch() -> None:
            nonlocal done
            with lock:
                if not done:
                    self.fetch(name, source, layers, diff_ids, chains)
                    done = True

        return fetch

    def fetch(
        self,
        name: str,
        source: ImageSource,
        layers: Sequence[Descriptor],
        diff_ids: Sequence[Digest],
        chains: Sequence[Digest],
    ) -> None:
        """Fetch and unpack the layers that have neither. Raises RegistryError, DigestMismatch, ArchiveError."""
        missing = [index for index in range(len(layers)) if not self._is_here(chains[index])]
        if not missing:
            return
        step = self._step()
        self._reporter.step_started(step, f"[internal] pull {name}")
        try:
            self._fetch_all(source, layers, diff_ids, chains, missing, step)
        except BaseException as error:
            self._reporter.step_finished(step, "failed", error=str(error))
            raise
        self._reporter.step_finished(step, "done")

    def _is_here(self, chain: Digest) -> bool:
        record = self._store.layers.get(chain)
        return record is not None and record.snapshot is not None and self._snapshots.driver.exists(record.snapshot)

    def _fetch_all(
        self,
        source: ImageSource,
        layers: Sequence[Descriptor],
        diff_ids: Sequence[Digest],
        chains: Sequence[Digest],
        missing: Sequence[int],
        step: int,
    ) -> None:
        from pywerf.backend.buildah.unpack_layers import LayerJob

        snapshots = self._snapshots
        below: Snapshot | None = None
        jobs: list[LayerJob] = []
        for index, chain in enumerate(chains):
            if index in missing:
                below = snapshots.child(self._store.new_snapshot_id(), below)
                parent = chains[index - 1] if index else None
                chunks = partial(self._stored_or_sent, source, layers[index], step)
                jobs.append(LayerJob(below, diff_ids[index], chain, parent, layers[index], chunks))
            else:
                record = self._store.layers.get(chain)
                assert record is not None
                assert record.snapshot is not None
                below = snapshots.child(record.snapshot, below)
        snapshots.unpack_all(jobs)

    def _stored_or_sent(self, source: ImageSource, layer: Descriptor, step: int) -> Iterator[bytes]:
        """The layer's blob: read from the store, or fetched and written there in passing."""
        if self._store.blobs.has(layer.digest) is not None:
            yield from self._store.blobs.chunks(layer.digest)
            return
        current = 0
        report = self._reporter.step_progress
        with self._store.blobs.writer() as writer, spans_of(self._reporter)("pull", layer.digest.short):
            for chunk in source.blob(layer):
                writer.write(chunk)
                current += len(chunk)
                report(step, layer.digest.short, current, layer.size)
                yield chunk
            writer.commit(layer.digest)
