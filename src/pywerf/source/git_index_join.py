"""Indexes that libgit2 cannot read, made plain: split ones, and those with whole directories for entries.

    data = plain_index(read_file("index"), shared=…, tree=…)

A split index (`git update-index --split-index`) has most entries in another file; a sparse one (`git sparse-checkout
--sparse-index`) has an entry for each directory that is left out. Formats: gitformat-index(5); the bitmaps are EWAH
ones (gitformat-bitmap(5), appendix A).
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterator

import msgspec

from pywerf.source.git_index import EXTENDED, SKIP_WORKTREE, IndexEntry, read_index

__all__ = ["is_unusual", "plain_index", "read_bitmap"]

_NAME = 0x0FFF
_DIRECTORY = 0o40000
_NO_HASH = bytes(20)

Tree = Callable[[str], dict[str, tuple[int, str]]]
"""The entries of a tree by its id: their modes and ids."""


def is_unusual(data: bytes) -> bool:
    """Whether an index has what libgit2 does not know: mandatory extensions (those in lower case)."""
    if b"link" not in data and b"sdir" not in data:
        return False
    try:
        return not {b"link", b"sdir"}.isdisjoint(read_index(data)[1])
    except ValueError:
        return False


def plain_index(data: bytes, shared: Callable[[str], bytes], tree: Tree) -> bytes:
    """The same index as one that every git reads. `shared` reads the file of a shared index by its digest.

    Raises ValueError for what is no index, KeyError and OSError when what it names is not here.
    """
    entries, extensions = read_index(data)
    link = extensions.get(b"link")
    if link is not None:
        entries = _joined(entries, link, shared)
    return _written([one for entry in entries for one in _expanded(entry, tree)])


def _joined(own: list[IndexEntry], link: bytes, shared: Callable[[str], bytes]) -> list[IndexEntry]:
    """The entries of the shared index without those that are deleted, with others in the place of some, and more."""
    digest, rest = link[:20], link[20:]
    if digest == _NO_HASH:
        return own
    base, _ = read_index(shared(digest.hex()))
    deleted: set[int] = set()
    replaced: list[int] = []
    if rest:
        positions, end = read_bitmap(rest, 0)
        deleted = set(positions)
        replaced = read_bitmap(rest, end)[0]
    if len(replaced) > len(own) or (replaced and replaced[-1] >= len(base)):
        raise ValueError("the split index does not fit the shared one")
    for entry, position in zip(own, replaced, strict=False):
        # an entry that takes another one's place has no path of its own
        base[position] = msgspec.structs.replace(entry, path=entry.path or base[position].path)
    kept = [entry for position, entry in enumerate(base) if position not in deleted]
    return sorted([*kept, *own[len(replaced) :]], key=lambda entry: entry.order)


def read_bitmap(data: bytes, place: int) -> tuple[list[int], int]:
    """The bits that are set in a bitmap, and the place behind it."""
    try:
        _, count = struct.unpack_from(">II", data, place)
        words = struct.unpack_from(f">{count}Q", data, place + 8)
    except struct.error as error:
        raise ValueError("a bitmap of the index is damaged") from error
    found: list[int] = []
    bit = at = 0
    while at < count:
        head = words[at]
        run, literals = head >> 1 & 0xFFFFFFFF, head >> 33
        if head & 1:
            found.extend(range(bit, bit + 64 * run))
        bit += 64 * run
        for word in words[at + 1 : at + 1 + literals]:
            found.extend(bit + number for number in range(64) if word >> number & 1)
            bit += 64
        at += 1 + literals
    return found, place + 8 + 8 * count + 4


def _expanded(entry: IndexEntry, tree: Tree) -> Iterator[IndexEntry]:
    """The entry, or for a directory that is left out all that is in it."""
    if entry.mode != _DIRECTORY:
        yield entry
        return
    for name, (mode, oid) in tree(entry.oid.hex()).items():
        path = entry.path + name.encode("utf-8", "surrogateescape")
        stat = bytes(24) + struct.pack(">I", mode) + bytes(12)
        below = IndexEntry(stat, bytes.fromhex(oid), EXTENDED, SKIP_WORKTREE, path)
        if mode == _DIRECTORY:
            yield from _expanded(msgspec.structs.replace(below, path=path + b"/"), tree)
        else:
            yield below


def _written(entries: list[IndexEntry]) -> bytes:
    """An index of version 3."""
    out = [struct.pack(">4sII", b"DIRC", 3, len(entries))]
    for entry in sorted(entries, key=lambda one: one.order):
        flags = entry.flags & ~_NAME & ~EXTENDED | min(len(entry.path), _NAME)
        if entry.further:
            flags |= EXTENDED
        fixed = entry.stat + entry.oid + struct.pack(">H", flags)
        if entry.further:
            fixed += struct.pack(">H", entry.further)
        size = len(fixed) + len(entry.path)
        out.append(fixed + entry.path + bytes(8 - size % 8))
    data = b"".join(out)
    return data + hashlib.sha1(data, usedforsecurity=False).digest()
