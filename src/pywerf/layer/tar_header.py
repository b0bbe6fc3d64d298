"""The headers of entries: ustar's, with a pax header before it where a value needs one.

Loaded by the processes that read small files, too: standard library and `tar_format` only.
"""

from __future__ import annotations

import os
from zlib import adler32

from pywerf.layer.tar_format import (
    NAME_SIZE,
    PREFIX_SIZE,
    byte_sum,
    is_utf8,
    pax_record,
    pax_time_text,
    split_name,
    xattr_key,
)

TYPE_CHECKING = False  # the typing module would double such a process's start-up time
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["NANOSECONDS", "PADDING", "Headers"]

NANOSECONDS = 1_000_000_000

PADDING = tuple(bytes(-size % 512) for size in range(512))
"""What follows a content, by the rest of its size over whole blocks."""

_MAX_ID = 0o7777777
_MAX_SIZE = 0o77777777777
_MOST_OWNERS = 4096

# The header after the checksum, up to where prefix begins: type, link name, magic and version, no user
# and group names, device numbers.
_MAGIC = b"ustar\00000"
_NO_NAMES = bytes(64)
_NO_DEVICE = b"0000000\0" * 2
_FILE_MIDDLE = b"0" + bytes(NAME_SIZE) + _MAGIC + _NO_NAMES + _NO_DEVICE
_PREFIX_FIELD = PREFIX_SIZE + 12
_FILE_TAIL = _FILE_MIDDLE + bytes(_PREFIX_FIELD)
# The checksum field counts as eight spaces.
_FILE_SUM = sum(_FILE_TAIL) + 8 * 32


class Headers:
    """Makes headers. Times later than `clamp` seconds since 1970 become it; `subsecond`: they keep their fraction."""

    __slots__ = ("_clamp", "_owners", "_subsecond")

    def __init__(self, clamp: int, *, subsecond: bool) -> None:
        self._clamp = clamp
        self._subsecond = subsecond
        self._owners: dict[tuple[int, int, int], bytes] = {}

    def file(self, name: bytes, mode: int, uid: int, gid: int, size: int, mtime: int) -> bytes:
        """The header of a regular file, made fast; none where a value needs a pax header. `mtime` is in seconds."""
        owner = self._owners.get((mode, uid, gid))
        if owner is None:
            if uid > _MAX_ID or gid > _MAX_ID:
                return b""
            owner = self._owner(mode, uid, gid)
        if mtime > self._clamp:
            mtime = self._clamp
        if not 0 <= mtime <= _MAX_SIZE or size > _MAX_SIZE:
            return b""
        tail, total = _FILE_TAIL, _FILE_SUM
        if len(name) > NAME_SIZE:
            split = split_name(name)
            if split is None:
                return b""
            prefix, name = split
            tail = _FILE_MIDDLE + prefix.ljust(_PREFIX_FIELD, b"\0")
            total += byte_sum(prefix)
        head = b"%b%b%011o\0%011o\0" % (name.ljust(NAME_SIZE, b"\0"), owner, size, mtime)
        # `byte_sum`, without a call
        return b"%b%06o\0 %b" % (head, (adler32(head) & 0xFFFF) - 1 + total, tail)

    def entry(
        self,
        name: bytes,
        kind: bytes,
        mode: int,
        uid: int,
        gid: int,
        size: int,
        mtime_ns: int,
        link: bytes = b"",
        rdev: int = 0,
        xattrs: Mapping[str, bytes] | None = None,
    ) -> bytes:
        """A header of any kind (ustar's type byte), with the pax header before it that it may need."""
        pax = b""
        records: list[tuple[bytes, bytes]] = []
        if xattrs:
            records.extend((xattr_key(key), value) for key, value in xattrs.items())
        mtime, fraction = divmod(mtime_ns, NANOSECONDS)
        if mtime >= self._clamp:
            mtime, fraction = self._clamp, 0
        if not self._subsecond:
            fraction = 0
        if fraction or not 0 <= mtime <= _MAX_SIZE:
            records.append((b"mtime", pax_time_text(mtime, fraction)))
            mtime = min(max(mtime, 0), _MAX_SIZE)
        if size > _MAX_SIZE:
            records.append((b"size", b"%d" % size))
            size = 0
        if uid > _MAX_ID:
            records.append((b"uid", b"%d" % uid))
            uid = 0
        if gid > _MAX_ID:
            records.append((b"gid", b"%d" % gid))
            gid = 0
        prefix = b""
        binary = False
        if len(name) > NAME_SIZE:
            split = split_name(name)
            if split is None:
                records.append((b"path", name))
                binary = not is_utf8(name)
                name = name[: NAME_SIZE - 1].rstrip(b"/") + b"/" if kind == b"5" else name[:NAME_SIZE]
            else:
                prefix, name = split
        if len(link) > NAME_SIZE:
            records.append((b"linkpath", link))
            binary = binary or not is_utf8(link)
            link = link[:NAME_SIZE]
        if binary:
            records.append((b"hdrcharset", b"BINARY"))
        if records:
            pax = _pax(name, records)
        device = _NO_DEVICE
        if rdev:
            device = b"%07o\0%07o\0" % (os.major(rdev), os.minor(rdev))
        head = b"%b%b%011o\0%011o\0" % (name.ljust(NAME_SIZE, b"\0"), self._owner(mode, uid, gid), size, mtime)
        tail = b"%b%b%b%b" % (kind, link.ljust(NAME_SIZE, b"\0"), _MAGIC, _NO_NAMES)
        last = device + prefix.ljust(PREFIX_SIZE + 12, b"\0")
        total = byte_sum(head) + byte_sum(tail) + byte_sum(last) + 256
        return b"%b%b%06o\0 %b%b" % (pax, head, total, tail, last)

    def _owner(self, mode: int, uid: int, gid: int) -> bytes:
        """The fields mode, uid and gid, made once for each that occurs."""
        key = (mode, uid, gid)
        fields = self._owners.get(key)
        if fields is None:
            if len(self._owners) >= _MOST_OWNERS:
                self._owners.clear()
            fields = self._owners[key] = b"%07o\0%07o\0%07o\0" % key
        return fields


def _pax(name: bytes, records: list[tuple[bytes, bytes]]) -> bytes:
    """A local pax header. Its records are sorted, except that hdrcharset comes before what it is about."""
    records.sort(key=lambda record: (record[0] != b"hdrcharset", record[0]))
    body = b"".join(pax_record(key, value) for key, value in records)
    head = b"%b%b%011o\0%011o\0" % (
        (b"PaxHeaders.0/" + name.rstrip(b"/").rpartition(b"/")[2])[:NAME_SIZE].ljust(NAME_SIZE, b"\0"),
        b"0000644\0" + b"0000000\0" * 2,
        len(body),
        0,
    )
    tail = b"x" + _FILE_TAIL[1:]
    total = byte_sum(head) + _FILE_SUM - ord("0") + ord("x")
    return b"%b%06o\0 %b%b%b" % (head, total, tail, body, PADDING[len(body) & 511])
