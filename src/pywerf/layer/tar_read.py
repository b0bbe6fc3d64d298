"""Reading tar, as a stream: every format that the tools of the field have written, no trust in any number.

Understood: v7, ustar, pax (local and global headers), GNU (long names, base-256 numbers, all four sparse
forms), star's prefix. Nothing is kept but the entry at hand and the chunk that it is in.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from zlib import adler32

from pywerf.layer.tar_format import (
    FieldError,
    checked,
    checksum_ok,
    decode_xattr_key,
    number,
    pax_decimal,
    pax_records,
    pax_time,
    sparse_list,
    sparse_old,
)
from pywerf.layer.tar_stream import EntryKind, TarEntry, TarStream

__all__ = ["TarEntry", "TarReader", "read_entries"]

_BLOCK = 512
_ZERO = bytes(_BLOCK)
_NANOSECONDS = 1_000_000_000
_MAX_SIZE = (1 << 63) - 1
_MAX_ID = (1 << 32) - 2  # -1 means "leave it" to chown(2)
_MAX_TIME = (1 << 48) * _NANOSECONDS  # nine million years: what any file system may be asked for
_MAX_EXTENSION = 8 << 20  # pax headers and long names of one entry; Go allows 1 MiB, many xattrs may need more
_MAX_SPARSE = 1 << 20  # pieces of a sparse file
_KINDS: dict[int, EntryKind] = {
    ord("0"): "file",
    0: "file",
    ord("7"): "file",
    ord("1"): "hardlink",
    ord("2"): "symlink",
    ord("3"): "char",
    ord("4"): "block",
    ord("5"): "dir",
    ord("6"): "fifo",
    ord("D"): "dir",  # GNU tar --incremental; the data are a list of names
    ord("S"): "file",
}


def read_entries(chunks: Iterable[bytes]) -> Iterator[TarEntry]:
    """The entries of a plain tar, which comes in chunks of any size (see compress.decompress).

    AUFS's own files are left out; whiteouts are entries as others. Raises ArchiveError, naming the entry and
    its offset, for anything that is damaged or truncated.
    """
    return iter(TarReader(chunks))


class TarReader(TarStream):
    """An archive being read: iterate over it once. What `read_entries` does, with access to the stream."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        super().__init__(chunks)
        self._global: dict[bytes, bytes] = {}
        self._global_size = 0
        # Header fields, parsed once for each that occurs.
        self._owners: dict[bytes, tuple[int, int, int]] = {}
        self._sums: dict[bytes, int] = {}

    def __iter__(self) -> Iterator[TarEntry]:
        while True:
            rest = self._left + self._padding
            if rest:
                self._left = self._padding = 0
                if self._at + rest <= len(self._chunk):
                    self._at += rest
                else:
                    self._skip(rest)
            try:
                entry = self._next()
            except FieldError as error:
                raise self._error(str(error)) from error
            if entry is None:
                return
            yield entry

    def _next(self) -> TarEntry | None:
        """The next real entry, with everything that the headers before it said about it."""
        header = self._chunk[self._at : self._at + _BLOCK]
        if len(header) == _BLOCK and not self._global:
            quick = self._quick(header)
            if quick is not None:
                self._at += _BLOCK
                return quick
        return self._any()

    def _quick(self, header: bytes) -> TarEntry | None:
        """The entry of a plain header of a file or directory, which nearly all are; None: look at it closely.

        It takes a third of the time of `_any`, and accepts nothing that that would not.
        """
        kind = header[156]
        if (kind != 0x30 and kind != 0x35) or header[345] or header[157] or header[135] > 0x20 or header[147] > 0x20:
            return None  # also numbers without a terminator
        expected = self._sums.get(header[148:156])
        if expected is None:
            expected = self._expected(header[148:156])
        if (adler32(header[:256]) & 0xFFFF) + (adler32(header[256:]) & 0xFFFF) != expected:
            return None
        size = header[124:135]
        mtime = header[136:147]
        name = header[:100].split(b"\0", 1)[0]
        if not (size.isdigit() and mtime.isdigit()) or not name or b".wh..wh." in name:
            return None
        try:
            owner = self._owners.get(header[100:124]) or self._owner(header[100:124])
            length = int(size, 8)
            seconds = int(mtime, 8)
        except ValueError:
            return None
        entry = TarEntry(self, self._base + self._at)
        entry.name = name
        entry.mode, entry.uid, entry.gid = owner
        entry.mtime_ns = seconds * _NANOSECONDS
        if kind == 0x35:
            entry.kind = "dir"
        elif name[-1:] == b"/":
            return None
        else:
            entry.size = self._left = length
            self._padding = -length & 511
        self._name = name
        self._start = entry.offset
        return entry

    def _expected(self, field: bytes) -> int:
        """What the adler32 sums of a header's halves come to when its checksum field is right."""
        try:
            # The field counts as spaces in the checksum; each adler32 begins with one.
            expected = number(field) + sum(field) - 256 + 2
        except FieldError:
            expected = -1
        if len(self._sums) >= 4096:
            self._sums.clear()
        self._sums[field] = expected
        return expected

    def _any(self) -> TarEntry | None:
        """`_next` for entries of all kinds."""
        local: dict[bytes, bytes] | None = None
        points: list[bytes] = []
        long_name = long_link = b""
        extended = 0
        while True:
            self._start = self._base + self._at
            self._name = b""
            header = self._header()
            if header is None:
                if local is not None or long_name or long_link:
                    raise self._error("the archive ends after an extended header")
                return None
            kind = header[156]
            if kind in b"xgXLK":
                size = number(header[124:136])
                extended += max(size, 0)
                if kind == ord("g"):
                    self._global_size += size
                if size < 0 or max(extended, self._global_size) > _MAX_EXTENSION:
                    raise FieldError(f"extended headers of {max(extended, self._global_size)} bytes")
                body = self._take(size)
                self._skip(-size % _BLOCK)
                if kind == ord("L"):
                    long_name = body.split(b"\0", 1)[0]
                elif kind == ord("K"):
                    long_link = body.split(b"\0", 1)[0]
                else:
                    if local is None:
                        local = {}
                    target = self._global if kind == ord("g") else local
                    for key, value in pax_records(body):
                        if key in (b"GNU.sparse.offset", b"GNU.sparse.numbytes"):
                            points.append(value)
                        else:
                            target[key] = value
                continue
            if kind == ord("V"):
                continue  # the label of a volume
            pax = {**self._global, **(local or {})} if local is not None or self._global else None
            entry = self._entry(header, kind, long_name, long_link, pax, points)
            if entry is not None:
                return entry
            local, points, long_name, long_link = None, [], b"", b""

    def _header(self) -> bytes | None:
        """The next header, its checksum verified; None at the end of the archive."""
        at = self._at
        header = self._chunk[at : at + _BLOCK]
        if len(header) == _BLOCK:
            self._at = at + _BLOCK
        else:
            header = self._take(_BLOCK, may_end=True)
            if not header:
                return None  # without the zero blocks, as some writers leave it
        if header == _ZERO:
            second = self._take(_BLOCK, may_end=True)
            if second and second != _ZERO:
                raise FieldError("a lone block of zeros")
            return None
        if not checksum_ok(header):
            raise FieldError("bad header checksum: this is not a tar archive, or it is damaged")
        return header

    def _entry(
        self,
        header: bytes,
        type_flag: int,
        long_name: bytes,
        long_link: bytes,
        pax: dict[bytes, bytes] | None,
        points: list[bytes],
    ) -> TarEntry | None:
        name = header[:100].split(b"\0", 1)[0]
        magic = header[257:265]
        if magic == b"ustar\00000":
            if header[345]:
                # star's prefix is shorter; times stand behind it.
                width = 131 if header[508:512] == b"tar\0" else 155
                name = header[345 : 345 + width].split(b"\0", 1)[0] + b"/" + name
        elif magic[:5] == b"ustar" and magic != b"ustar  \0" and header[345]:
            name = header[345:500].split(b"\0", 1)[0] + b"/" + name
        self._name = name = long_name or name
        kind = _KINDS.get(type_flag)
        if kind is None:
            if type_flag == ord("M"):
                raise FieldError("the archive is the continuation of another volume")
            raise FieldError(f"unknown type {chr(type_flag)!r}")
        entry = TarEntry(self, self._start)
        entry.link = long_link or (header[157:257].split(b"\0", 1)[0] if header[157] else b"")
        owner = self._owners.get(header[100:124]) or self._owner(header[100:124])
        entry.mode, entry.uid, entry.gid = owner
        size = number(header[124:136])
        entry.mtime_ns = number(header[136:148]) * _NANOSECONDS
        if kind == "char" or kind == "block":
            major, minor = number(header[329:337]), number(header[337:345])
            if not (0 <= major < 1 << 12 and 0 <= minor < 1 << 20):
                raise FieldError(f"bad device number {major}, {minor}")
            entry.rdev = os.makedev(major, minor)
        segments: list[tuple[int, int]] | None = None
        real_size = -1
        if type_flag == ord("S"):
            real_size = number(header[483:495])
            segments = self._sparse_blocks(header)
        if pax is not None:
            size = self._apply_pax(entry, pax, size)
            if kind == "file" and (points or any(key.startswith(b"GNU.sparse.") for key in pax)):
                found = self._sparse_pax(pax, points)
                if found is not None:
                    segments, real_size, used = found
                    if used:
                        self._left = size
                        before = self._base + self._at
                        segments = self._sparse_map()
                        size -= self._base + self._at - before
            name = self._name
        if not 0 <= size <= _MAX_SIZE:
            raise FieldError(f"bad size {size}")
        if entry.uid > _MAX_ID or entry.gid > _MAX_ID:
            raise FieldError(f"bad owner {entry.uid}:{entry.gid}")
        if not -_MAX_TIME <= entry.mtime_ns <= _MAX_TIME:
            raise FieldError("a time out of all bounds")
        if b"\0" in name or b"\0" in entry.link:
            raise FieldError("a name with a NUL in it")
        if kind == "file" and segments is None and name[-1:] == b"/":
            kind = "dir"  # v7 had no other way to say so
        if not name:
            raise FieldError("an entry without a name")
        entry.name = name
        entry.kind = kind
        if kind == "file" or type_flag == ord("D"):
            self._left = size
            self._padding = -size % _BLOCK
        else:
            self._left = self._padding = 0
        if segments is not None:
            if not 0 <= real_size <= _MAX_SIZE:
                raise FieldError(f"bad size {real_size}")
            entry.segments = checked(segments, real_size, size)
            entry.size = real_size
        elif kind == "file":
            entry.size = size
        if b".wh..wh." in name and _is_aufs(name):
            self._skip(self._left + self._padding)
            self._left = self._padding = 0
            return None
        return entry

    def _owner(self, fields: bytes) -> tuple[int, int, int]:
        if len(self._owners) >= 4096:
            self._owners.clear()
        owner = (number(fields[:8]) & 0o7777, number(fields[8:16]), number(fields[16:]))
        if not (0 <= owner[1] <= _MAX_ID and 0 <= owner[2] <= _MAX_ID):
            raise FieldError(f"bad owner {owner[1]}:{owner[2]}")
        self._owners[fields] = owner
        return owner

    def _apply_pax(self, entry: TarEntry, pax: dict[bytes, bytes], size: int) -> int:
        """What pax headers say about an entry, over what its ustar header says; gives the size of the data."""
        xattrs: dict[str, bytes] = {}
        for key, value in pax.items():
            if key.startswith(b"SCHILY.xattr."):
                xattrs[decode_xattr_key(key[13:])] = value
            elif not value:
                continue  # a global value taken back
            elif key == b"path":
                self._name = value
            elif key == b"linkpath":
                entry.link = value
            elif key == b"size":
                size = pax_decimal(value)
            elif key == b"uid":
                entry.uid = pax_decimal(value)
            elif key == b"gid":
                entry.gid = pax_decimal(value)
            elif key == b"mtime":
                entry.mtime_ns = pax_time(value)
            elif key.startswith(b"LIBARCHIVE.xattr.") and b"SCHILY.xattr." + key[17:] not in pax:
                name, content = _libarchive_xattr(key[17:], value)
                xattrs.setdefault(name, content)
        if xattrs:
            entry.xattrs = xattrs
        return size

    def _sparse_pax(
        self, pax: dict[bytes, bytes], points: list[bytes]
    ) -> tuple[list[tuple[int, int]], int, bool] | None:
        """GNU's sparse formats in pax headers: (map, real size, whether the map stands before the data)."""
        name = pax.get(b"GNU.sparse.name")
        if pax.get(b"GNU.sparse.major") == b"1" and pax.get(b"GNU.sparse.minor") == b"0":
            self._name = name or self._name
            return [], pax_decimal(pax.get(b"GNU.sparse.realsize", b"")), True
        if b"GNU.sparse.major" in pax:
            raise FieldError("unknown sparse format")
        if b"GNU.sparse.map" in pax:
            numbers = [value for value in pax[b"GNU.sparse.map"].split(b",") if value]
        elif points:
            numbers = points
        elif b"GNU.sparse.size" in pax:
            numbers = []
        else:
            return None
        self._name = name or self._name
        return sparse_list(numbers), pax_decimal(pax.get(b"GNU.sparse.size", b"")), False

    def _sparse_map(self) -> list[tuple[int, int]]:
        """The map of GNU sparse 1.0: decimal numbers in lines, filled up to a block, before the data."""
        text = b""
        lines: list[bytes] = []
        wanted = 1
        while len(lines) < wanted:
            if self._left < _BLOCK:
                raise FieldError("bad sparse map")
            self._left -= _BLOCK
            text += self._take(_BLOCK)
            *complete, text = text.split(b"\n")
            if len(text) > 20 and text.strip(b"\0"):
                raise FieldError("bad sparse map")
            lines += complete
            if wanted == 1 and lines:
                wanted += 2 * min(pax_decimal(lines[0]), _MAX_SPARSE + 1)
                if wanted > 2 * _MAX_SPARSE:
                    raise FieldError("a sparse map of too many pieces")
        return sparse_list(lines[1:wanted])

    def _sparse_blocks(self, header: bytes) -> list[tuple[int, int]]:
        """The map of an old GNU sparse header and of the blocks that continue it."""
        segments = sparse_old(header, 386, 4)
        more = header[482]
        while more:
            block = self._take(_BLOCK)
            segments += sparse_old(block, 0, 21)
            more = block[504]
            if len(segments) > _MAX_SPARSE:
                raise FieldError("a sparse map of too many pieces")
        return segments


def _is_aufs(name: bytes) -> bool:
    """AUFS's bookkeeping, which old Docker layers may hold: everything `.wh..wh.` but the opaque mark."""
    return any(part.startswith(b".wh..wh.") and part != b".wh..wh..opq" for part in name.split(b"/"))


def _libarchive_xattr(key: bytes, value: bytes) -> tuple[str, bytes]:
    """libarchive's own form of an xattr: the name percent-encoded, the value in base64 without its padding."""
    import binascii
    from urllib.parse import unquote_to_bytes

    try:
        content = binascii.a2b_base64(value + b"=" * (-len(value) % 4))
    except binascii.Error as error:
        raise FieldError("bad LIBARCHIVE.xattr value") from error
    return os.fsdecode(unquote_to_bytes(key)), content
