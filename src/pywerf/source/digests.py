"""Content digests of build contexts, remembered between builds so that an unchanged file is read once.

Two memories, kept in one blob for each context root (`load` and `save` bring it from and to the store):

- for each file (path, size, mtime, ctime, inode, device) -> sha256 of its content,
- for each selection the fingerprint of all its stat data -> its content digest: when nothing changed at all,
  that is the one thing that is looked up.

What was changed so shortly before it was read that a further change may leave the same times behind is not
remembered (git calls this the racy problem; Documentation/technical/racy-git).
"""

from __future__ import annotations

import hashlib
import os
import struct
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import msgspec

from pywerf.errors import ContextError
from pywerf.oci.digest import Digest
from pywerf.util.filetree import Excluded, FileTree, Node, is_content_addressed, join, walk

__all__ = ["FileDigests", "content_digest", "fingerprint"]

Found = tuple[str, Node]  # a path, and the file there
Listed = Mapping[str, Sequence[Found]]

_MAGIC: Final = b"pwfd\x00\x01\x00\x00"
_HEADER: Final = struct.Struct("<8sIIQ")  # magic, selections, files, bytes of the paths
_STAT: Final = struct.Struct("<qqqQQ")  # size, mtime_ns, ctime_ns, ino, dev
_MARK: Final = struct.Struct("<HH")  # day of the last use, flags
_PLAIN: Final = 1  # flag: the file has no extended attributes
_RECORD: Final = _STAT.size + _MARK.size + 32
_FLAGS_AT: Final = _STAT.size + 2
_DIGEST_AT: Final = _STAT.size + _MARK.size
_ENTRY: Final = struct.Struct("<IBHIIQI")  # length of path, kind, mode, uid, gid, rdev, number of xattrs
_KIND_CODES: Final = {"file": 0, "dir": 1, "symlink": 2, "char": 3, "block": 4, "fifo": 5, "socket": 6}
_KEEP_DAYS: Final = 30
_KEEP_SELECTIONS: Final = 256
_SECOND: Final = 1_000_000_000
_FINE_WINDOW: Final = _SECOND // 10  # ten times the longest tick of a Linux clock (HZ=100)
_COARSE_WINDOW: Final = 2 * _SECOND  # file systems that keep whole seconds, or two of them
_CHUNK: Final = 1 << 18
_PARALLEL_BYTES: Final = 4 << 20


def fingerprint(nodes: Sequence[Found | tuple[str, str]]) -> bytes:
    """One sha256 over the paths and all stat data of a walk: equal when nothing was touched.

    Pairs of strings may stand among the (path, node) pairs.
    """
    try:
        encoded = msgspec.msgpack.encode(nodes)
    except UnicodeEncodeError:  # a name that is not UTF-8
        encoded = msgspec.msgpack.encode(
            [
                (os.fsencode(path), os.fsencode(node) if isinstance(node, str) else msgspec.structs.astuple(node)[1:])
                for path, node in nodes
            ]
        )
    return hashlib.sha256(encoded).digest()


def _is_settled(ctime_ns: int, now_ns: int) -> bool:
    """Whether a change after `now_ns` is sure to show in the change time."""
    window = _FINE_WINDOW if ctime_ns % _SECOND else _COARSE_WINDOW
    return 0 < ctime_ns < now_ns - window


def content_digest(
    tree: FileTree,
    selection: Sequence[tuple[str, str]],
    *,
    digests: FileDigests | None = None,
    owners: bool = True,
    excluded: Excluded | None = None,
    listed: Listed | None = None,
) -> Digest:
    """The digest of what a selection of files is: the same on every machine and at every time.

    `selection`: (name, path in the tree) of each source, a directory with all that is in it. Covered are the
    names and the paths below them, kind, permission bits, owner (unless `owners` is false), content, link
    target, device number and extended attributes; not times, inodes and hard links, nor the root directory's
    own mode and owner. Sockets are left out. `excluded` tells of a path below its source whether it (a
    directory: with all that is in it) is left out. In a `ContentAddressed` tree nothing is read.

    `listed` spares a walk, and holds on to what was seen then: by a source's path what is in that directory (paths
    below it, nothing that is excluded), maybe with the source itself first, under the path "". `digests` remembers.
    Raises ContextError.
    """
    if digests is None:
        digests = FileDigests(lambda: None, lambda data: None)
    return digests.content_digest(tree, selection, owners=owners, excluded=excluded, listed=listed)


class _Source:
    """One source of a selection: `found` has the source itself with the path "", then what is in it."""

    __slots__ = ("found", "name", "path")

    def __init__(
        self, tree: FileTree, name: str, path: str, excluded: Excluded | None, listed: Sequence[Found] | None
    ) -> None:
        self.name = name
        self.path = path
        self.found: list[Found] = []
        if listed and not listed[0][0]:
            self.found.extend(listed)
            return
        node = tree.lstat(path)
        if path:
            if node is None:
                raise ContextError(f"{path}: no such file in the build context")
            self.found.append(("", node))
            if node.kind != "dir":
                return
        self.found.extend(walk(tree, path, excluded) if listed is None else listed)

    def fingerprint(self) -> bytes:
        """Equal when the source was not touched."""
        return fingerprint([(self.name, self.path), *self.found])

    def place(self, path: str) -> str:
        """The path in the tree of a path below the source."""
        return join(self.path, path) if path else self.path


class FileDigests:
    """The digests of one context root. `load` gives what `save` was given last, or None.

    Not for use by several threads at once; the hashing itself is spread over threads.
    """

    __slots__ = ("_changed", "_fresh", "_load", "_records", "_rest", "_save", "_selections", "_used", "_young")

    def __init__(self, load: Callable[[], bytes | None], save: Callable[[bytes], None]) -> None:
        self._load: Callable[[], bytes | None] | None = load
        self._save = save
        self._selections: dict[bytes, bytes] = {}
        self._rest: tuple[bytes, int, int, int] | None = None  # blob, offset of the paths, their length, files
        self._records: dict[str, bytes] | None = None
        self._used: set[str] = set()
        self._fresh: dict[str, tuple[bytes, bytes]] = {}  # what was read, but is too young to be kept
        self._young: dict[str, bytes] = {}  # the same, of what was read for nothing but its digest
        self._changed = False

    def digest_of(self, tree: FileTree, path: str, node: Node) -> bytes:
        """The sha256 (32 bytes) of a file's content; read only when it is not remembered. Raises ContextError."""
        return self.digests_of(tree, [(path, node)])[0]

    def digests_of(self, tree: FileTree, files: Sequence[Found]) -> list[bytes]:
        """The sha256 of each file's content, in order; many bytes to read are read by several threads."""
        records = self._file_records()
        pack, used = _STAT.pack, self._used
        result: list[bytes] = []
        missing: list[int] = []
        for index, (path, node) in enumerate(files):
            record = records.get(path)
            stat = pack(node.size, node.mtime_ns, node.ctime_ns, node.ino, node.dev)
            if record is not None and record[: _STAT.size] == stat:
                used.add(path)
                result.append(record[_DIGEST_AT:])
            elif (fresh := self._fresh.get(path)) is not None and fresh[0] == stat:
                result.append(fresh[1])
            else:
                missing.append(index)
                result.append(b"")
        if missing:
            now = time.time_ns()
            hashed = _hash_all(tree, [files[index] for index in missing])
            for index, (digest, size) in zip(missing, hashed, strict=True):
                result[index] = digest
                path, node = files[index]
                if size == node.size and _is_settled(node.ctime_ns, now):
                    self._remember(path, node, digest, 0)
                else:
                    self._young[path] = digest
        return result

    def remember(self, path: str, node: Node, digest: bytes) -> bool:
        """Note a sha256 that was made in passing, while the file was read for something else.

        False: the file had another content when it was read before; digests made with that one mean nothing any more.
        """
        stat = _STAT.pack(node.size, node.mtime_ns, node.ctime_ns, node.ino, node.dev)
        record = self._file_records().get(path)
        fresh = self._fresh.get(path)
        if record is not None and record[: _STAT.size] == stat:
            before = record[_DIGEST_AT:]
        else:
            before = fresh[1] if fresh is not None and fresh[0] == stat else self._young.pop(path, digest)
        if before != digest:
            self._forget(path)
            self._fresh[path] = (stat, digest)
            return False
        if _is_settled(node.ctime_ns, time.time_ns()):
            self._remember(path, node, digest, 0)
        else:
            self._fresh[path] = (stat, digest)
        return True

    def content_digest(
        self,
        tree: FileTree,
        selection: Sequence[tuple[str, str]],
        *,
        owners: bool = True,
        excluded: Excluded | None = None,
        listed: Listed | None = None,
    ) -> Digest:
        """See the function `content_digest`; what is learnt is remembered."""
        started = time.time_ns()
        lists: Listed = listed or {}
        sources = [_Source(tree, name, path, excluded, lists.get(path)) for name, path in selection]
        if is_content_addressed(tree):
            return Digest.sha256(self._compute(tree, sources, owners).hex())
        key = self._key(sources, owners)
        known = self._selections.get(key)
        if known is None:
            known = self._compute(tree, sources, owners)
            times = [node.ctime_ns for source in sources for _, node in source.found]
            if times and min(times) > 0 and _is_settled(max(times), started):
                self._selections[key] = known
                self._changed = True
        return Digest.sha256(known.hex())

    def known_digest(
        self, tree: FileTree, selection: Sequence[tuple[str, str]], *, owners: bool, listed: Listed
    ) -> Digest | None:
        """`content_digest` of a selection of which nothing was touched since it was asked for; None of any other."""
        if is_content_addressed(tree):
            return None
        key = self._key([_Source(tree, name, path, None, listed.get(path)) for name, path in selection], owners)
        known = self._selections.get(key)
        return None if known is None else Digest.sha256(known.hex())

    def _key(self, sources: Sequence[_Source], owners: bool) -> bytes:
        """What a selection is remembered by."""
        self._read_header()
        key = hashlib.sha256(b"\1" if owners else b"\0")
        for source in sources:
            key.update(source.fingerprint())
        return key.digest()

    def flush(self) -> None:
        """Hand what was learnt to `save`; nothing when nothing was learnt. What no build asked for in 30 days goes."""
        if not self._changed:
            return
        records = self._file_records()
        today = _today()
        kept: dict[str, bytes] = {}
        for path, record in records.items():
            day, flags = _MARK.unpack_from(record, _STAT.size)
            if path in self._used:
                if day != today:
                    record = record[: _STAT.size] + _MARK.pack(today, flags) + record[_DIGEST_AT:]
            elif (today - day) & 0xFFFF > _KEEP_DAYS:
                continue
            kept[path] = record
        selections = list(self._selections.items())[-_KEEP_SELECTIONS:]
        paths = "\0".join(kept).encode("utf-8", "surrogateescape")
        parts = [_HEADER.pack(_MAGIC, len(selections), len(kept), len(paths))]
        parts.extend(key + value for key, value in selections)
        parts.append(paths)
        parts.extend(kept.values())
        self._save(b"".join(parts))
        self._changed = False

    def _compute(self, tree: FileTree, sources: Sequence[_Source], owners: bool) -> bytes:
        files = [(source.place(path), node) for source in sources for path, node in source.found if node.kind == "file"]
        if is_content_addressed(tree):
            contents = iter([tree.content_id(path) for path, _ in files])
        else:
            contents = iter(self.digests_of(tree, files))
        records = self._file_records()
        parts: list[bytes] = []
        for source in sources:
            for path, node in source.found:
                kind = node.kind
                place = source.place(path)
                payload = b""
                attributes: dict[str, bytes] = {}
                if kind == "file":
                    payload = next(contents)
                    record = records.get(place)
                    if record is None or not _matches(record, node):
                        attributes = tree.xattrs(place)
                    elif not record[_FLAGS_AT] & _PLAIN:
                        attributes = tree.xattrs(place)
                        if not attributes:
                            self._remember(place, node, record[_DIGEST_AT:], _PLAIN)
                elif kind == "dir":
                    attributes = tree.xattrs(place)
                elif kind == "symlink":
                    target = os.fsencode(tree.readlink(place))
                    payload = struct.pack("<I", len(target)) + target
                elif kind == "socket":
                    continue
                name = os.fsencode(join(source.name, path) if path else source.name)
                parts.append(
                    _ENTRY.pack(
                        len(name),
                        _KIND_CODES[kind],
                        node.mode,
                        node.uid if owners else 0,
                        node.gid if owners else 0,
                        node.rdev if kind in ("char", "block") else 0,
                        len(attributes),
                    )
                )
                parts.append(name)
                parts.append(payload)
                for attribute, value in sorted(attributes.items()):
                    encoded = os.fsencode(attribute)
                    parts.append(struct.pack("<II", len(encoded), len(value)) + encoded + value)
        return hashlib.sha256(b"".join(parts)).digest()

    def _remember(self, path: str, node: Node, digest: bytes, flags: int) -> None:
        key = _STAT.pack(node.size, node.mtime_ns, node.ctime_ns, node.ino, node.dev)
        self._file_records()[path] = key + _MARK.pack(_today(), flags) + digest
        self._used.add(path)
        self._changed = True

    def _forget(self, path: str) -> None:
        self._file_records().pop(path, None)
        self._selections.clear()
        self._changed = True

    def _read_header(self) -> None:
        if self._load is None:
            return
        blob = self._load()
        self._load = None
        if blob is None or len(blob) < _HEADER.size:
            return
        magic, selections, files, length = _HEADER.unpack_from(blob)
        paths_at = _HEADER.size + 64 * selections
        if magic != _MAGIC or len(blob) != paths_at + length + _RECORD * files:
            return  # another version's, or damaged: only a memory, it is made again
        for at in range(_HEADER.size, paths_at, 64):
            self._selections[blob[at : at + 32]] = blob[at + 32 : at + 64]
        self._rest = (blob, paths_at, length, files)

    def _file_records(self) -> dict[str, bytes]:
        if self._records is None:
            self._read_header()
            self._records = {}
            if self._rest is not None:
                blob, at, length, files = self._rest
                self._rest = None
                if files:
                    paths = blob[at : at + length].decode("utf-8", "surrogateescape").split("\0")
                    at += length
                    records = [blob[start : start + _RECORD] for start in range(at, len(blob), _RECORD)]
                    if len(paths) == len(records):
                        self._records = dict(zip(paths, records, strict=True))
        return self._records


def _matches(record: bytes, node: Node) -> bool:
    return record[: _STAT.size] == _STAT.pack(node.size, node.mtime_ns, node.ctime_ns, node.ino, node.dev)


def _today() -> int:
    return int(time.time() // 86400) & 0xFFFF


def _hash_all(tree: FileTree, files: Sequence[Found]) -> Iterable[tuple[bytes, int]]:
    """(sha256, bytes read) of each file."""
    workers = min(8, os.cpu_count() or 1)
    if len(files) == 1 or workers == 1 or sum(node.size for _, node in files) < _PARALLEL_BYTES:
        return [_hash(tree, path, node) for path, node in files]
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(workers, "hash") as pool:
        return list(pool.map(lambda file: _hash(tree, *file), files))


def _hash(tree: FileTree, path: str, node: Node) -> tuple[bytes, int]:
    fd = tree.open(path)
    try:
        data = os.read(fd, _CHUNK)
        if len(data) == node.size and len(data) < _CHUNK:
            return hashlib.sha256(data).digest(), len(data)
        state = hashlib.sha256()
        size = 0
        while data:
            state.update(data)
            size += len(data)
            data = os.read(fd, _CHUNK)
        return state.digest(), size
    except OSError as error:
        raise ContextError(f"cannot read {path}: {error.strerror}") from error
    finally:
        os.close(fd)
