"""What libgit2 does not tell of git's index: its entries as they are, and its extensions (gitformat-index(5))."""

from __future__ import annotations

import struct

import msgspec

__all__ = ["EXTENDED", "SKIP_WORKTREE", "IndexEntry", "read_index", "skipped_paths"]

EXTENDED = 0x4000
"""In the flags of an entry: it has further ones."""
SKIP_WORKTREE = 0x4000
"""In the further flags: sparse checkouts leave the file out."""

_STAT, _OID, _FLAGS, _HASH = 40, 20, 2, 20


class IndexEntry(msgspec.Struct, frozen=True):
    """An entry: what lstat(2) said (with the mode), the object's id, both flags, and the path."""

    stat: bytes
    oid: bytes
    flags: int
    further: int
    path: bytes

    @property
    def mode(self) -> int:
        """The type and the permissions, as in trees."""
        found: int = struct.unpack_from(">I", self.stat, 24)[0]
        return found

    @property
    def order(self) -> tuple[bytes, int]:
        """What entries are sorted by: the path, and the stage of a merge."""
        return self.path, self.flags >> 12 & 3


def read_index(data: bytes) -> tuple[list[IndexEntry], dict[bytes, bytes]]:
    """The entries and the extensions of an index of version 2, 3 or 4. Raises ValueError for what is no such index."""
    if len(data) < 12 or data[:4] != b"DIRC":
        raise ValueError("not an index")
    version, count = struct.unpack_from(">II", data, 4)
    if version not in (2, 3, 4):
        raise ValueError(f"version {version} of the index is not known")
    entries: list[IndexEntry] = []
    place, path = 12, b""
    try:
        for _ in range(count):
            begin = place
            stat, oid = data[place : place + _STAT], data[place + _STAT : place + _STAT + _OID]
            place += _STAT + _OID
            (flags,) = struct.unpack_from(">H", data, place)
            place += _FLAGS
            further = 0
            if flags & EXTENDED:
                (further,) = struct.unpack_from(">H", data, place)
                place += _FLAGS
            if version == 4:
                shorter, place = _varint(data, place)
                end = data.index(b"\0", place)
                path = path[: len(path) - shorter] + data[place:end]
                place = end + 1
            else:
                end = data.index(b"\0", place)
                path = data[place:end]
                place = begin + (end - begin + 8 & ~7)
            entries.append(IndexEntry(stat, oid, flags, further, path))
        extensions: dict[bytes, bytes] = {}
        while place + 8 <= len(data) - _HASH:
            (size,) = struct.unpack_from(">I", data, place + 4)
            extensions[data[place : place + 4]] = data[place + 8 : place + 8 + size]
            place += 8 + size
    except (struct.error, IndexError) as error:
        raise ValueError("the index is damaged") from error
    return entries, extensions


def skipped_paths(data: bytes) -> frozenset[str]:
    """The paths with the flag skip-worktree (sparse checkouts). Raises ValueError for what is no index."""
    entries, _ = read_index(data)
    return frozenset(
        entry.path.decode("utf-8", "surrogateescape") for entry in entries if entry.further & SKIP_WORKTREE
    )


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """(number, the place behind it), as in offset deltas."""
    byte = data[place]
    place += 1
    value = byte & 0x7F
    while byte & 0x80:
        byte = data[place]
        place += 1
        value = (value + 1 << 7) | (byte & 0x7F)
    return value, place
