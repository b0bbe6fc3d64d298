"""Cache mounts that travel: the files of `RUN --mount=type=cache`, written to a remote cache and filled from it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

import msgspec

from pywerf.build.remote.document import CacheDocument, LayerBlob, MountRecord
from pywerf.build.remote.place import Loaded, place_of
from pywerf.build.remote.spec import ALL_MOUNTS
from pywerf.errors import DigestMismatch
from pywerf.graph.op import ExecOp
from pywerf.graph.vertex import Vertex
from pywerf.oci import media_types

if TYPE_CHECKING:
    from pywerf.build.remote.spec import CacheSpec
    from pywerf.build.session import Session
    from pywerf.oci.image_io import ImageDestination
    from pywerf.store.store import Store

__all__ = ["CacheMounts", "export_mounts"]


class CacheMounts:
    """What the engine tells of cache mounts (a CacheWatcher); fills new ones by `--cache-from type=cache-mount`.

    `seen` has the ids, by name, of the caches that steps have used.
    """

    def __init__(self, session: Session, specs: Sequence[CacheSpec]) -> None:
        self._session = session
        self.specs = specs
        self.seen: dict[str, str] = {}
        self._loaded: dict[str, Loaded | None] = {}
        self._lock = threading.Lock()

    def used(self, id: str, name: str) -> None:
        """See CacheWatcher."""
        self.seen[name] = id

    def fill(self, id: str, name: str, folder: str) -> bool:
        """See CacheWatcher. What cannot be had is told."""
        for spec in self.specs:
            if spec.id not in (ALL_MOUNTS, id):
                continue
            try:
                if self._fill(spec, id, name, folder):
                    return True
            except Exception as error:  # whatever it is: a cache never fails a build
                self._session.reporter.message(
                    "warning", f"the cache mount {id} is not taken from {spec.name}: {error}"
                )
                _empty(folder)
        return False

    def _fill(self, spec: CacheSpec, id: str, name: str, folder: str) -> bool:
        from pywerf.layer.apply import apply_layer
        from pywerf.layer.compress import decompress

        with self._lock:
            if spec.text not in self._loaded:
                self._loaded[spec.text] = None  # asked once, also when it fails
                self._loaded[spec.text] = place_of(self._session, spec).load()
            loaded = self._loaded[spec.text]
        mount = None if loaded is None else next((item for item in loaded.document.mounts if item.name == name), None)
        if loaded is None or mount is None:
            return False
        reporter = self._session.reporter
        step = self._session.next_step()
        reporter.step_started(step, f"[internal] fill the cache mount {id} from {spec.name}")
        try:
            applied = apply_layer(decompress(loaded.source.blob(mount.layer.descriptor)), folder, form="plain")
            if str(applied.diff_id) != mount.diff_id:
                raise DigestMismatch(f"cache mount {id}", mount.diff_id, str(applied.diff_id))
        except BaseException:
            reporter.step_finished(step, "cancelled")
            raise
        reporter.step_finished(step, "done")
        return True


def export_mounts(session: Session, spec: CacheSpec, mounts: CacheMounts, targets: Iterable[Vertex | None]) -> None:
    """`--cache-to type=cache-mount`: write the caches of a build that was for `targets`.

    What is there already, and was used by no step that ran, is not read. Raises BuildError, RegistryError, …
    """
    from pywerf.build.remote.exports import write_merged

    place = place_of(session, spec)
    there = place.load()
    known = {} if there is None else {mount.name: mount for mount in there.document.mounts}
    destination = place.destination()
    written: list[MountRecord] = []
    for name, id in sorted({**_named(targets), **mounts.seen}.items()):
        folder = session.store.cache_mounts.path(name)
        if spec.id not in (ALL_MOUNTS, id) or not os.path.isdir(folder):
            continue
        if name not in known or name in mounts.seen:
            with _alone(session.store, name):
                written.append(_write(session, spec, destination, id, name, known.get(name)))
    if written:
        write_merged(session, place, destination, CacheDocument(1, mounts=tuple(written)))


def _named(targets: Iterable[Vertex | None]) -> dict[str, str]:
    """The ids, by name, of the cache mounts that need nothing to be named: they begin empty."""
    from pywerf.backend.buildah.cache_mounts import cache_name

    found: dict[str, str] = {}
    seen: set[str] = set()
    stack = list(targets)
    while stack:
        vertex = stack.pop()
        if vertex is None or vertex.definition in seen:
            continue
        seen.add(vertex.definition)
        stack += vertex.inputs
        for mount in vertex.op.mounts if isinstance(vertex.op, ExecOp) else ():
            if mount.type == "cache" and mount.input < 0:
                found[cache_name(mount, None)] = mount.id or mount.target
    return found


def _write(
    session: Session, spec: CacheSpec, destination: ImageDestination, id: str, name: str, known: MountRecord | None
) -> MountRecord:
    """Send one cache, unless it is there; both are told by the digest of its tar."""
    from pywerf.layer.diff import write_tree
    from pywerf.layer.pump import written_chunks
    from pywerf.layer.sink import LayerSink, LayerSum
    from pywerf.layer.tar_write import TarWriter

    folder = session.store.cache_mounts.path(name)

    def tar(write: Callable[[bytes], object]) -> None:
        writer = TarWriter(write)
        write_tree(folder, writer)
        writer.close()

    now = int(time.time())
    if known is not None:
        with LayerSink() as sink:
            tar(sink.write)
            if str(sink.finish().diff_id) == known.diff_id:
                return msgspec.structs.replace(known, used=now)
    sums: list[LayerSum] = []

    def packed(write: Callable[[bytes], object]) -> None:
        with LayerSink(write, compression=spec.compression, level=spec.level) as sink:
            tar(sink.write)
            sums.append(sink.finish())

    def counted() -> Iterator[bytes]:
        current = 0
        for chunk in written_chunks(packed):
            current += len(chunk)
            session.reporter.step_progress(step, id, current, 0)
            yield chunk

    step = session.next_step()
    session.reporter.step_started(step, f"exporting the cache mount {id} to {spec.name}")
    try:
        digest, size = destination.put_blob_stream(counted())
    except BaseException as error:
        session.reporter.step_finished(step, "failed", error=str(error))
        raise
    session.reporter.step_finished(step, "done")
    media_type = media_types.layer_media_type(spec.compression, "oci")
    return MountRecord(id, name, str(sums[0].diff_id), LayerBlob(media_type, str(digest), size), now)


def _alone(store: Store, name: str) -> ExitStack:
    """While no step has the cache to itself."""
    stack = ExitStack()
    try:
        stack.enter_context(store.lock(f"cache-mount-{name}"))
        stack.enter_context(store.lock(f"cache-mount-{name}-0"))
    except BaseException:
        stack.close()
        raise
    return stack


def _empty(folder: str) -> None:
    from pywerf.linux.removal import remove_tree

    remove_tree(folder)
    os.mkdir(folder)
