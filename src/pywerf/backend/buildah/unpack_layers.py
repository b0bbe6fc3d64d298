"""Unpacks layers into snapshots: several at once, verified while they stream; a failure leaves nothing of its own."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from pywerf.backend.buildah.ref import LazyLayer
from pywerf.errors import ArchiveError, DigestMismatch, SnapshotError, WerfError
from pywerf.layer.apply import AppliedLayer, apply_layer, inherit_directories
from pywerf.layer.compress import decompress
from pywerf.oci.descriptor import Descriptor
from pywerf.oci.digest import Digest
from pywerf.snapshot.base import Snapshot, Snapshotter
from pywerf.store.layers import LayerRecord
from pywerf.util.promise import Promise, run_in_thread

if TYPE_CHECKING:
    from pywerf.store.store import Store

__all__ = ["LayerJob", "unpack_layers"]

_AT_ONCE = 4
_UNSAID = 0o1731  # the mode of a root directory of which its layer has said nothing yet


class LayerJob(msgspec.Struct, frozen=True):
    """A layer to unpack: `chunks` begins its blob (compressed or not), `diff_id` is what it must turn out to be.

    `snapshot` is the one to be made, `chain` and `parent` the chain ids of the layer and of what is below it.
    """

    snapshot: Snapshot
    diff_id: Digest
    chain: Digest
    parent: Digest | None
    blob: Descriptor | None
    chunks: Callable[[], Iterator[bytes]]
    lazy: LazyLayer | None = None


def unpack_layers(store: Store, driver: Snapshotter, jobs: Sequence[LayerJob]) -> None:
    """Unpack and record layers of one stack, bottom first; there may be others, unpacked before, between them.

    When another process has unpacked a layer meanwhile, its snapshot is the one that counts: ask the records.
    The first failure stops the rest and is raised once all threads have ended; a signal does not wait for them.
    Raises ArchiveError, DigestMismatch, SnapshotError, and what `chunks` raises.
    """
    _Unpacking(store, driver, jobs).run()


class _Stopped(Exception):
    """Given up because another layer has failed."""


class _Unpacking:
    def __init__(self, store: Store, driver: Snapshotter, jobs: Sequence[LayerJob]) -> None:
        self.store = store
        self.driver = driver
        self.jobs = jobs
        self.stop = threading.Event()
        self.lock = threading.Lock()
        self.error: BaseException | None = None

    def run(self) -> None:
        if self.driver.independent_layers and len(self.jobs) > 1:
            self._at_once()
            return
        for job in self.jobs:
            below = self._recorded(job)
            parent = Snapshot(below[0], self.driver.name, below[1:], True) if below else None
            self.driver.prepare(job.snapshot.id, parent)
            try:
                self._complete(job, self._apply(job))
            except BaseException:
                self._discard(job)
                raise

    def _at_once(self) -> None:
        gate = threading.Semaphore(_AT_ONCE)

        def work(job: LayerJob, below: Promise[None] | None) -> None:
            try:
                try:
                    applied = self._apply(job)
                finally:
                    gate.release()
                if below is not None:
                    below.result()
                self._complete(job, applied)
            except BaseException as error:
                self._discard(job)
                with self.lock:
                    if self.error is None and not isinstance(error, _Stopped):
                        self.error = error
                    self.stop.set()
                raise

        running: list[Promise[None]] = []
        try:
            self._prepare_all()
            for job in self.jobs:
                gate.acquire()  # in order, here: a layer that waits for the one below never keeps it from starting
                if self.stop.is_set():
                    break
                below = running[-1] if running else None
                running.append(run_in_thread(partial(work, job, below), "unpack"))
            for promise in running:
                promise.wait()
        finally:
            self.stop.set()
            for job in self.jobs[len(running) :]:
                self._discard(job)
        if self.error is not None:
            raise self.error

    def _prepare_all(self) -> None:
        new: set[str] = set()
        for job in self.jobs:
            ids = job.snapshot.parents
            parent = Snapshot(ids[0], self.driver.name, ids[1:], True) if ids else None
            self.driver.prepare(job.snapshot.id, parent)
            if ids and ids[0] in new:
                # what the root below will be is not known yet
                os.chmod(self.driver.layer_dir(job.snapshot), _UNSAID)
            new.add(job.snapshot.id)

    def _apply(self, job: LayerJob) -> AppliedLayer:
        """Unpack the stream; everything that is wrong with it shows here."""
        driver = self.driver
        try:
            chunks = self._until_stopped(job.chunks())
            try:
                applied = apply_layer(
                    decompress(chunks),
                    driver.layer_dir(job.snapshot),
                    form=driver.layer_form,
                    overlay_xattr=driver.xattr_namespace,
                )
            except ArchiveError:
                for _ in chunks:  # was it damaged on its way? that is what its end tells, and the better answer
                    pass
                raise
            finally:
                chunks.close()
            if applied.diff_id != job.diff_id:
                raise DigestMismatch("unpacked layer", str(job.diff_id), str(applied.diff_id))
        except WerfError as error:
            if job.lazy is not None:
                job.lazy.refuse(error)
            raise
        return applied

    def _until_stopped(self, chunks: Iterator[bytes]) -> Generator[bytes, None, None]:
        try:
            for chunk in chunks:
                if self.stop.is_set():
                    raise _Stopped
                yield chunk
        finally:
            close = getattr(chunks, "close", None)
            if close is not None:  # its connection or file must not wait for the garbage collector
                close()

    def _complete(self, job: LayerJob, applied: AppliedLayer) -> None:
        """What has to wait for the layers below; then the layer is recorded."""
        driver, snapshot = self.driver, job.snapshot
        if snapshot.parents and driver.layer_form == "overlay":
            folder = driver.layer_dir(snapshot)
            unsaid = stat.S_IMODE(os.stat(folder).st_mode) == _UNSAID
            if applied.implicit or unsaid:
                lowers = [driver.layer_dir(Snapshot(id, driver.name, (), True)) for id in self._recorded(job)]
                inherit_directories(folder, applied.implicit, lowers)
                if unsaid:
                    from pywerf.snapshot.overlay import copy_root

                    copy_root(lowers[0], folder)
        driver.commit(snapshot)
        record = self.store.layers.put(
            LayerRecord(job.chain, job.parent, job.diff_id, applied.size, blob=job.blob, snapshot=snapshot.id)
        )
        if record.snapshot != snapshot.id:
            if record.snapshot is not None and driver.exists(record.snapshot):
                self._discard(job)
            else:  # somebody has removed its files
                self.store.layers.set_snapshot(job.chain, snapshot.id)
        if job.lazy is not None:
            job.lazy.verified()

    def _recorded(self, job: LayerJob) -> tuple[str, ...]:
        """The snapshots below, nearest first, as the store has them now: another process's may have won."""
        ids: list[str] = []
        chain = job.parent
        while chain is not None:
            record = self.store.layers.get(chain)
            if record is None or record.snapshot is None:
                return job.snapshot.parents
            ids.append(record.snapshot)
            chain = record.parent
        return tuple(ids)

    def _discard(self, job: LayerJob) -> None:
        try:
            self.driver.remove(job.snapshot.id)
        except SnapshotError:
            return  # what went wrong before is what counts; this is collected later
