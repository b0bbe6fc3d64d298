"""What libgit2 does not tell of git's index: the files that a sparse checkout leaves out (gitformat-index(5))."""

from __future__ import annotations

import struct

__all__ = ["skipped_paths"]

_FIXED = struct.Struct(">40s20sH")
_EXTENDED = 0x4000
_SKIP_WORKTREE = 0x4000  # in the second flags


def skipped_paths(data: bytes) -> frozenset[str]:
    """The paths with the flag skip-worktree (sparse checkouts), of an index of version 2, 3 or 4.

    Raises ValueError for what is no such index.
    """
    if len(data) < 12 or data[:4] != b"DIRC":
        raise ValueError("not an index")
    version, count = struct.unpack_from(">II", data, 4)
    if version not in (2, 3, 4):
        raise ValueError(f"version {version} of the index is not known")
    found: set[str] = set()
    place, name = 12, b""
    try:
        for _ in range(count if version > 2 else 0):
            begin = place
            flags = _FIXED.unpack_from(data, place)[2]
            place += _FIXED.size
            further = 0
            if flags & _EXTENDED:
                (further,) = struct.unpack_from(">H", data, place)
                place += 2
            if version == 4:
                shorter, place = _varint(data, place)
                end = data.index(b"\0", place)
                name = name[: len(name) - shorter] + data[place:end]
                place = end + 1
            else:
                end = data.index(b"\0", place)
                name = data[place:end]
                place = begin + (end - begin + 8 & ~7)
            if further & _SKIP_WORKTREE:
                found.add(name.decode("utf-8", "surrogateescape"))
    except (struct.error, IndexError) as error:
        raise ValueError("the index is damaged") from error
    return frozenset(found)


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
