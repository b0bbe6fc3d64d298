"""Reads git objects by id: the first few without libgit2, whose start costs more than a build that changes nothing.

What our own reader does not know (alternates, unusual formats), and all beyond the first few objects, is libgit2's.
Formats: gitformat-pack(5), gitrepository-layout(5).
"""

from __future__ import annotations

import os
import struct
import threading
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pygit2 import Repository

__all__ = ["GitObjects", "commit_time", "commit_tree", "tree_entries"]

FEW = 64
"""So many objects are read by ourselves; who wants more is better off with libgit2, which is faster at each."""

_KINDS = {1: "commit", 2: "tree", 3: "blob", 4: "tag"}
_OFS_DELTA, _REF_DELTA = 6, 7
_MAX_DELTAS = 100
_MAX_INDEX = 256 << 20


class _NotOurs(Exception):
    """Something that only libgit2 can answer, or say what is wrong with."""


_DAMAGED = (_NotOurs, OSError, ValueError, zlib.error, struct.error, IndexError)


class GitObjects:
    """The objects of the repository in `git_dir` (bare, or a `.git`). Methods may be called from several threads."""

    def __init__(self, git_dir: str, repo: Repository | None = None) -> None:
        self.git_dir = git_dir
        self._folder = os.path.join(git_dir, "objects")
        self._repo = repo
        self._packs: list[_Pack] | None = None
        self._left = FEW
        self._lock = threading.Lock()

    def read(self, oid: str) -> tuple[str, bytes]:
        """(kind, content) of an object. Raises KeyError when it is not here."""
        if self._ours():
            try:
                return self._read(bytes.fromhex(oid))
            except _DAMAGED:
                self._left = 0
        kind, data = self._libgit2().odb.read(oid)
        return _KINDS[int(kind)], data

    def size(self, oid: str) -> int:
        """The length of an object. Raises KeyError when it is not here."""
        if self._ours():
            try:
                return self._size(bytes.fromhex(oid))
            except _DAMAGED:
                self._left = 0
        return int(self._libgit2().odb.read_header(oid)[1])

    def __contains__(self, oid: str) -> bool:
        try:
            self.size(oid)
        except KeyError:
            return False
        return True

    def _ours(self) -> bool:
        """Whether the next object is one of the few."""
        self._left -= 1
        return self._repo is None and self._left >= 0

    def _libgit2(self) -> Any:
        with self._lock:
            if self._repo is None:
                import pygit2

                try:
                    self._repo = pygit2.Repository(self.git_dir)
                except pygit2.GitError as error:
                    raise KeyError(str(error)) from error
            return self._repo

    def _read(self, oid: bytes) -> tuple[str, bytes]:
        loose = self._loose(oid)
        if loose is None:
            pack, offset = self._packed(oid)
            number, data = pack.read(offset)
            return _KINDS[number], data
        try:
            raw = zlib.decompress(loose)
        except zlib.error as error:
            # libgit2 must not be asked: on a file that was cut off it never ends
            raise KeyError(f"the object {oid.hex()} is damaged: {error}") from error
        header, _, data = raw.partition(b"\0")
        kind, _, size = header.decode("ascii").partition(" ")
        if int(size) != len(data) or kind not in _KINDS.values():
            raise _NotOurs
        return kind, data

    def _size(self, oid: bytes) -> int:
        loose = self._loose(oid)
        if loose is None:
            pack, offset = self._packed(oid)
            return pack.size(offset)
        return int(zlib.decompressobj().decompress(loose, 64).partition(b"\0")[0].split(b" ")[1])

    def _loose(self, oid: bytes) -> bytes | None:
        name = oid.hex()
        try:
            with open(os.path.join(self._folder, name[:2], name[2:]), "rb") as file:
                return file.read()
        except FileNotFoundError:
            return None

    def _packed(self, oid: bytes) -> tuple[_Pack, int]:
        with self._lock:
            if self._packs is None:
                folder = os.path.join(self._folder, "pack")
                names = [name[:-4] for name in os.listdir(folder) if name.endswith(".idx")]
                self._packs = [_Pack(os.path.join(folder, name)) for name in names]
        for pack in self._packs:
            offset = pack.find(oid)
            if offset is not None:
                return pack, offset
        raise _NotOurs


class _Pack:
    """One pack file with its index, version 2."""

    def __init__(self, path: str) -> None:
        self._path = path
        with open(path + ".idx", "rb") as file:
            if os.fstat(file.fileno()).st_size > _MAX_INDEX:
                raise _NotOurs
            head = file.read(8 + 256 * 4)
        if head[:8] != b"\xfftOc\0\0\0\2":
            raise _NotOurs
        self._fanout: Sequence[int] = struct.unpack(">256I", head[8:])

    def find(self, oid: bytes) -> int | None:
        """Where an object is in the pack."""
        low = self._fanout[oid[0] - 1] if oid[0] else 0
        high = self._fanout[oid[0]]
        count = self._fanout[255]
        names = 8 + 256 * 4
        with open(self._path + ".idx", "rb", buffering=0) as file:
            fd = file.fileno()
            while low < high:
                middle = (low + high) // 2
                found = os.pread(fd, 20, names + middle * 20)
                if found == oid:
                    offsets = names + count * 24
                    (offset,) = struct.unpack(">I", os.pread(fd, 4, offsets + middle * 4))
                    if offset & 0x80000000:
                        place = offsets + count * 4 + (offset & 0x7FFFFFFF) * 8
                        (offset,) = struct.unpack(">Q", os.pread(fd, 8, place))
                    return int(offset)
                if found < oid:
                    low = middle + 1
                else:
                    high = middle
        return None

    def size(self, offset: int) -> int:
        """The length of the object at an offset."""
        with open(self._path + ".pack", "rb", buffering=0) as file:
            fd = file.fileno()
            head = os.pread(fd, 64, offset)
            kind, size, used = _entry_header(head)
            if kind in _KINDS:
                return size
            used = used + 20 if kind == _REF_DELTA else _offset(head, used)[1]
            delta = zlib.decompressobj().decompress(os.pread(fd, 256, offset + used), 32)
        place = _number(delta, 0)[1]
        return _number(delta, place)[0]

    def read(self, offset: int) -> tuple[int, bytes]:
        """(number of the kind, content) of the object at an offset."""
        deltas: list[bytes] = []
        with open(self._path + ".pack", "rb", buffering=0) as file:
            fd = file.fileno()
            while True:
                head = os.pread(fd, 64, offset)
                kind, size, used = _entry_header(head)
                if kind in _KINDS:
                    data = _inflate(fd, offset + used, size)
                    break
                if len(deltas) == _MAX_DELTAS:
                    raise _NotOurs
                if kind == _OFS_DELTA:
                    back, used = _offset(head, used)
                    deltas.append(_inflate(fd, offset + used, size))
                    offset -= back
                elif kind == _REF_DELTA:
                    deltas.append(_inflate(fd, offset + used + 20, size))
                    base = self.find(head[used : used + 20])
                    if base is None:
                        raise _NotOurs
                    offset = base
                else:
                    raise _NotOurs
        for delta in reversed(deltas):
            data = _patched(data, delta)
        return kind, data


def _entry_header(head: bytes) -> tuple[int, int, int]:
    """(kind, size, bytes used) of a pack entry."""
    byte = head[0]
    kind, size, shift, used = byte >> 4 & 7, byte & 15, 4, 1
    while byte & 0x80:
        byte = head[used]
        size |= (byte & 0x7F) << shift
        shift, used = shift + 7, used + 1
    return kind, size, used


def _offset(head: bytes, used: int) -> tuple[int, int]:
    """(distance back to the base, bytes used) of an offset delta."""
    byte = head[used]
    used += 1
    back = byte & 0x7F
    while byte & 0x80:
        byte = head[used]
        used += 1
        back = (back + 1 << 7) | (byte & 0x7F)
    return back, used


def _inflate(fd: int, place: int, size: int) -> bytes:
    stream = zlib.decompressobj()
    parts: list[bytes] = []
    wanted = size + size // 512 + 128  # more than what deflate makes of bytes that it cannot make smaller
    while not stream.eof:
        chunk = os.pread(fd, wanted, place)
        if not chunk:
            raise _NotOurs
        place += len(chunk)
        parts.append(stream.decompress(chunk, size + 1))
        if sum(map(len, parts)) > size:
            raise _NotOurs
    data = b"".join(parts)
    if len(data) != size:
        raise _NotOurs
    return data


def _number(delta: bytes, place: int) -> tuple[int, int]:
    """(a size at the beginning of a delta, the place behind it)."""
    value = shift = 0
    while True:
        byte = delta[place]
        place += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return value, place


def _patched(base: bytes, delta: bytes) -> bytes:
    """What a delta makes of its base."""
    source, place = _number(delta, 0)
    target, place = _number(delta, place)
    if source != len(base):
        raise _NotOurs
    parts: list[bytes] = []
    while place < len(delta):
        command = delta[place]
        place += 1
        if command & 0x80:
            offset = length = 0
            for bit in range(4):
                if command >> bit & 1:
                    offset |= delta[place] << 8 * bit
                    place += 1
            for bit in range(3):
                if command >> (4 + bit) & 1:
                    length |= delta[place] << 8 * bit
                    place += 1
            parts.append(base[offset : offset + (length or 0x10000)])
        elif command:
            parts.append(delta[place : place + command])
            place += command
        else:
            raise _NotOurs
    data = b"".join(parts)
    if len(data) != target:
        raise _NotOurs
    return data


# what objects say


def tree_entries(data: bytes) -> dict[str, tuple[int, str]]:
    """Name -> (mode, id) of a tree object's entries."""
    found: dict[str, tuple[int, str]] = {}
    place = 0
    while place < len(data):
        space = data.index(b" ", place)
        end = data.index(b"\0", space)
        name = data[space + 1 : end].decode("utf-8", "surrogateescape")
        found[name] = (int(data[place:space], 8), data[end + 1 : end + 21].hex())
        place = end + 21
    return found


def commit_tree(data: bytes) -> str:
    """The id of a commit's tree."""
    line = data.partition(b"\n")[0]
    if not line.startswith(b"tree "):
        raise ValueError("not a commit")
    return line[5:].decode("ascii")


def commit_time(data: bytes) -> tuple[int, int]:
    """(seconds since 1970, offset of the zone in minutes) of a commit's committer."""
    for line in data.partition(b"\n\n")[0].split(b"\n"):
        if line.startswith(b"committer "):
            seconds, zone = line.rpartition(b"> ")[2].split()
            sign = -1 if zone.startswith(b"-") else 1
            digits = int(zone.lstrip(b"+-"))
            return int(seconds), sign * (digits // 100 * 60 + digits % 100)
    return 0, 0
