"""Collecting what nothing needs any more, and counting what there is.

What is needed: images, with the blobs and layers that their manifests and configs name; the cache records within
the limits, with everything that their results name; what living processes hold leases of; what was written since
the oldest living process began, as it may not have told the database yet.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack

import msgspec

from pywerf.errors import InvalidValue
from pywerf.linux.removal import remove_tree
from pywerf.oci.chain import chain_ids
from pywerf.oci.config import ImageConfig
from pywerf.oci.digest import Digest
from pywerf.oci.manifest import Index, parse_manifest
from pywerf.store.cache import CacheRecord
from pywerf.store.cache_mounts import CacheMount
from pywerf.store.layers import LayerRecord
from pywerf.store.locks import clean_sessions, oldest_session
from pywerf.store.store import Store

__all__ = ["DiskUsage", "GcReport", "collect", "disk_usage"]

_GRACE = 60.0  # seconds: clocks of file systems are coarse, and a process may be about to open its session


class GcReport(msgspec.Struct, frozen=True):
    """How many of each were removed; `bytes` is what blobs, snapshots and cache mounts took on disk."""

    blobs: int = 0
    layers: int = 0
    snapshots: int = 0
    cache_records: int = 0
    memo: int = 0
    bytes: int = 0
    cache_mounts: int = 0


class DiskUsage(msgspec.Struct, frozen=True):
    """Counts, and sizes in bytes as they are on disk."""

    images: int
    blobs: int
    blob_bytes: int
    layers: int
    snapshots: int
    snapshot_bytes: int
    cache_records: int
    cache_mount_bytes: int
    database_bytes: int


def collect(
    store: Store,
    *,
    keep_cache_for: float | None = None,
    keep_cache_bytes: int | None = None,
    free_bytes: int | None = None,
    keep_memo_for: float | None = 30 * 86400.0,
    keep_memo_bytes: int | None = 256 << 20,
    keep: Iterable[str] = (),
    remove_snapshot: Callable[[str, str], None] | None = None,
    dry_run: bool = False,
) -> GcReport:
    """Remove what nothing needs. Another collection that runs meanwhile makes this one do nothing.

    `keep_cache_for`: cache records and cache mounts that were used within so many seconds stay (None: all; 0: none);
    `keep_cache_bytes`: the least recently used go until layers and mounts take no more than that (None: any);
    `free_bytes`: until they take so many bytes less than they do, whatever images keep of them.
    `keep` names digests, chain ids and snapshot ids that stay in any case. `remove_snapshot(driver, id)` is how a
    snapshot goes (None: its directory is removed). `dry_run` counts what would go, and touches nothing.
    Killed at any point, it leaves a store that is whole.
    """
    with store.lock("gc", wait=False) as alone:
        if not alone:
            return GcReport()
        if dry_run:
            collection = _Collection(store, frozenset(keep), None)
        else:
            clean_sessions(f"{store.root}/tmp")
            store.cache_mounts.clean()
            collection = _Collection(store, frozenset(keep), remove_snapshot or _directory_remover(store))
        return collection.run(keep_cache_for, keep_cache_bytes, free_bytes, keep_memo_for, keep_memo_bytes)


def disk_usage(store: Store) -> DiskUsage:
    """What the store takes. Snapshots are walked: this is slow where there are many files."""
    blobs = list(store.blobs.list())
    snapshots = list(_snapshots(store))
    return DiskUsage(
        images=len(store.images.list()),
        blobs=len(blobs),
        blob_bytes=sum(size for _, size, _ in blobs),
        layers=len(store.layers.list()),
        snapshots=len(snapshots),
        snapshot_bytes=sum(_tree_bytes(path) for _, _, path in snapshots),
        cache_records=len(store.cache.list()),
        cache_mount_bytes=_tree_bytes(f"{store.root}/cache-mounts"),
        database_bytes=sum(
            os.path.getsize(path)
            for name in ("db.sqlite", "db.sqlite-wal")
            if os.path.exists(path := f"{store.root}/{name}")
        ),
    )


class _Collection:
    """One collection: mark what is needed, forget the records of the rest, then remove the files of the rest.

    Without `remove_snapshot` nothing is removed, only counted.
    """

    def __init__(self, store: Store, keep: frozenset[str], remove_snapshot: Callable[[str, str], None] | None) -> None:
        self.store = store
        self.remove_snapshot = remove_snapshot
        self.cutoff = oldest_session(f"{store.root}/tmp") - _GRACE
        self.needed: set[str] = set()  # digests of blobs and ids of snapshots
        self.marked: set[str] = set()  # chain ids; the lowest of a chain may be the digest of a blob, too
        self.keep = keep
        self.layers: dict[str, LayerRecord] = {}
        self.freed = 0

    def run(
        self,
        keep_cache_for: float | None,
        keep_cache_bytes: int | None,
        free_bytes: int | None,
        keep_memo_for: float | None,
        keep_memo_bytes: int | None,
    ) -> GcReport:
        self.layers = {str(record.chain_id): record for record in self.store.layers.list()}
        for image in self.store.images.list():
            self._mark_manifest(image.manifest_digest, image.media_type)
        for name in self.keep:
            self._mark(name)
        if free_bytes:
            room = self._room_without(free_bytes)
            keep_cache_bytes = room if keep_cache_bytes is None else min(room, keep_cache_bytes)
        cache_records, cache_mounts = self._prune_cache(keep_cache_for, keep_cache_bytes)
        layers = self._forget_layers()
        snapshots = self._remove_snapshots()
        blobs = self._remove_blobs()
        memo = 0
        if self.remove_snapshot is not None:
            memo = self.store.memo.prune(unused_for=keep_memo_for, keep_bytes=keep_memo_bytes)
        return GcReport(blobs, layers, snapshots, cache_records, memo, self.freed, cache_mounts)

    def _mark(self, name: str) -> int:
        """Mark a name, and the layers below it if it is a chain; returns the bytes of the layers that are new."""
        size = 0
        chain: str | None = name
        while chain is not None and chain not in self.marked:
            self.marked.add(chain)
            record = self.layers.get(chain)
            if record is None:
                break
            if record.blob is not None:
                self.needed.add(str(record.blob.digest))
            if record.snapshot is not None:
                self.needed.add(record.snapshot)
            size += record.size
            chain = None if record.parent is None else str(record.parent)
        self.needed.add(name)
        return size

    def _mark_manifest(self, digest: Digest, media_type: str) -> None:
        blobs = self.store.blobs
        self.needed.add(str(digest))
        if blobs.has(digest) is None:
            return
        try:
            manifest = parse_manifest(blobs.read(digest), media_type)
            if isinstance(manifest, Index):
                for item in manifest.manifests:
                    self._mark_manifest(item.digest, item.media_type)
                return
            self.needed.add(str(manifest.config.digest))
            self.needed.update(str(layer.digest) for layer in manifest.layers)
            if blobs.has(manifest.config.digest) is not None:
                image = ImageConfig.from_json(blobs.read(manifest.config.digest))
                for chain in chain_ids(image.diff_ids):
                    self._mark(str(chain))
        except InvalidValue:
            return  # no image that anybody could use: an artifact of another kind, kept as its blobs alone

    def _room_without(self, free_bytes: int) -> int:
        """What cache mounts and the cache's layers that no image needs take, when the oldest `free_bytes` have gone."""
        needed, marked = set(self.needed), set(self.marked)
        sizes = [self._size_of(item) for item in self._cached()]
        self.needed, self.marked = needed, marked
        freed = 0
        while sizes and freed < free_bytes:
            freed += sizes.pop()
        return sum(sizes)

    def _cached(self) -> list[CacheRecord | CacheMount]:
        """Cache records and cache mounts, the one that was used last first."""
        found: list[CacheRecord | CacheMount] = [*reversed(self.store.cache.list()), *self.store.cache_mounts.list()]
        return sorted(found, key=lambda item: -item.last_used)

    def _size_of(self, item: CacheRecord | CacheMount) -> int:
        """What it adds to those before it; a record's result is marked as needed."""
        if isinstance(item, CacheMount):
            return _tree_bytes(self.store.cache_mounts.path(item.name))
        return item.size + sum(self._mark(name) for name in _strings(item.result))

    def _prune_cache(self, keep_for: float | None, keep_bytes: int | None) -> tuple[int, int]:
        """Newest first: keep, and mark, as long as age and room allow; remove the others. How many records, mounts."""
        since = None if keep_for is None else time.time() - keep_for
        total = 0
        records: list[str] = []
        mounts: list[str] = []
        for item in self._cached():
            if item.last_used < self.cutoff or keep_for == 0:
                too_old = since is not None and item.last_used <= since
                if too_old or (keep_bytes is not None and total >= keep_bytes):
                    if isinstance(item, CacheMount):
                        mounts.append(item.name)
                    else:
                        records.append(item.key)
                    continue
            if keep_bytes is not None or not isinstance(item, CacheMount):
                total += self._size_of(item)
        return self._remove_cache(records), self._remove_mounts(mounts)

    def _remove_mounts(self, names: list[str]) -> int:
        for name in names:
            self.freed += _tree_bytes(self.store.cache_mounts.path(name))
            if self.remove_snapshot is not None:
                self.store.cache_mounts.remove(name)
        return len(names)

    def _remove_cache(self, keys: list[str]) -> int:
        if self.remove_snapshot is None:
            return len(keys)
        removed = []
        with ExitStack() as held:
            for key in keys:
                if held.enter_context(self.store.unleased("cache", key)):
                    removed.append(key)
            return self.store.cache.remove(removed) if removed else 0

    def _forget_layers(self) -> int:
        count = 0
        # Those on top first, so that no layer is ever without the one below it.
        for chain, record in sorted(self.layers.items(), key=lambda item: -self._depth(item[1])):
            if chain in self.marked or record.created >= self.cutoff:
                self._mark(chain)
                continue
            with self.store.unleased("layer", chain) as free:
                if free and not self._is_leased(record):
                    if self.remove_snapshot is not None:
                        self.store.layers.forget(record.chain_id)
                    count += 1
                else:
                    self._mark(chain)
        return count

    def _is_leased(self, record: LayerRecord) -> bool:
        if record.snapshot is None:
            return False
        with self.store.unleased("snapshot", record.snapshot) as free:
            return not free

    def _depth(self, record: LayerRecord) -> int:
        depth = 0
        parent = record.parent
        while parent is not None and (below := self.layers.get(str(parent))) is not None:
            depth += 1
            parent = below.parent
        return depth

    def _remove_snapshots(self) -> int:
        count = 0
        for driver, id, path in list(_snapshots(self.store)):
            if id in self.needed:
                continue
            with self.store.unleased("snapshot", id) as free:
                try:
                    if not free or os.lstat(path).st_mtime >= self.cutoff:
                        continue
                    size = _tree_bytes(path)
                except FileNotFoundError:
                    continue
                if self.remove_snapshot is None:
                    pass  # only counted
                elif os.path.basename(path) == id:
                    self.remove_snapshot(driver, id)
                else:
                    remove_tree(path)  # the beginning or the end of one, of a process that was killed
                self.freed += size
                count += 1
        if self.remove_snapshot is not None:
            self._remove_links()
        return count

    def _remove_links(self) -> None:
        """Remove overlay's short names of snapshots that are gone."""
        for driver in os.listdir(self.store.snapshots_dir):
            folder = f"{self.store.snapshots_dir}/{driver}/l"
            for name in os.listdir(folder) if os.path.isdir(folder) else ():
                path = f"{folder}/{name}"
                # A young one may be that of a snapshot which is being made.
                if not os.path.exists(path) and os.path.lexists(path) and os.lstat(path).st_mtime < self.cutoff:
                    os.unlink(path)

    def _remove_blobs(self) -> int:
        count = 0
        for digest, size, modified in list(self.store.blobs.list()):
            if str(digest) in self.needed or modified >= self.cutoff:
                continue
            with self.store.unleased("blob", str(digest)) as free:
                # Looked at again: somebody may have come to need it, which makes it look newly written.
                if free and self._modified(digest) < self.cutoff:
                    if self.remove_snapshot is not None:
                        self.store.blobs.delete(digest)
                    self.freed += size
                    count += 1
        return count

    def _modified(self, digest: Digest) -> float:
        try:
            return os.stat(self.store.blobs.path(digest)).st_mtime
        except FileNotFoundError:
            return self.cutoff


def _directory_remover(store: Store) -> Callable[[str, str], None]:
    def remove(driver: str, id: str) -> None:
        gone = f"{store.snapshots_dir}/{driver}/.gone-{id}"
        remove_tree(gone)
        os.rename(f"{store.snapshots_dir}/{driver}/{id}", gone)
        remove_tree(gone)

    return remove


def _snapshots(store: Store) -> Iterable[tuple[str, str, str]]:
    """Driver, id and path of every snapshot, and of every unfinished one (`.new-ID`, `.gone-ID`)."""
    for driver in sorted(os.listdir(store.snapshots_dir)):
        folder = f"{store.snapshots_dir}/{driver}"
        for name in sorted(os.listdir(folder)):
            if name in ("l", "empty"):
                continue
            id = name.partition("-")[2] if name.startswith(".") else name
            yield driver, id, f"{folder}/{name}"


def _strings(document: bytes) -> set[str]:
    """Every string in a JSON document, at any depth, also the ones in JSON that stands in a string."""
    found: set[str] = set()
    todo: list[object] = [_decoded(document)]
    while todo:
        value = todo.pop()
        if isinstance(value, str):
            found.add(value)
            if value.startswith(("{", "[")):
                todo.append(_decoded(value.encode()))
        elif isinstance(value, list):
            todo.extend(value)
        elif isinstance(value, dict):
            todo.extend(value)
            todo.extend(value.values())
    return found


def _decoded(document: bytes) -> object:
    try:
        return msgspec.json.decode(document)
    except msgspec.DecodeError:
        return None


def _tree_bytes(path: str) -> int:
    """What a tree takes on disk (512-byte blocks of lstat(2)), each inode once."""
    total = 0
    seen: set[tuple[int, int]] = set()
    todo = [path]
    while todo:
        folder = todo.pop()
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    st = entry.stat(follow_symlinks=False)
                    if st.st_nlink > 1 and not entry.is_dir(follow_symlinks=False):
                        if (st.st_dev, st.st_ino) in seen:
                            continue
                        seen.add((st.st_dev, st.st_ino))
                    total += st.st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        todo.append(entry.path)
        except OSError:  # gone meanwhile, not to be read, or too deep: not counted
            continue
    return total
