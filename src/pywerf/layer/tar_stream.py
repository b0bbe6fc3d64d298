"""A stream of tar as chunks, and the entry that it stands at: what `tar_read` reads from and gives."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Literal

from pywerf.errors import ArchiveError
from pywerf.layer.tar_format import Segments, show

__all__ = ["EntryKind", "TarEntry", "TarStream"]

EntryKind = Literal["file", "dir", "symlink", "hardlink", "char", "block", "fifo"]

_ZEROS = bytes(1 << 20)
_EMPTY: dict[str, bytes] = {}


class TarEntry:
    """One entry. `name` is the path as the archive has it, in bytes; `path` the same as str, no slash at its end.

    `mode` is permission bits (0o7777); `size` the size of the file, 0 for all that has no content, whatever
    their header says; `linkname` the target of a symlink or hard link; `segments` where the data of a sparse
    file are, or None. The content can be read once, before the next entry is asked for.
    """

    __slots__ = (
        "_stream",
        "gid",
        "kind",
        "link",
        "mode",
        "mtime_ns",
        "name",
        "offset",
        "rdev",
        "segments",
        "size",
        "uid",
        "xattrs",
    )

    def __init__(self, stream: TarStream, offset: int) -> None:
        self._stream = stream
        self.offset = offset
        self.name = b""
        self.link = b""
        self.kind: EntryKind = "file"
        self.mode = 0
        self.uid = 0
        self.gid = 0
        self.size = 0
        self.mtime_ns = 0
        self.rdev = 0
        self.xattrs = _EMPTY
        self.segments: Segments | None = None

    @property
    def path(self) -> str:
        """The name, not cleaned: it may be absolute or hold `..`."""
        return os.fsdecode(self.name).rstrip("/")

    @property
    def linkname(self) -> str:
        """The target of a symlink or a hard link."""
        return os.fsdecode(self.link)

    def stored(self) -> Iterator[bytes]:
        """The data as they are stored: for a sparse file without its holes, else all of the content."""
        return self._stream.stored(self)

    def data(self) -> Iterator[bytes]:
        """The whole content, in pieces of at most the chunks' size; holes as zeros."""
        if self.segments is None:
            return self._stream.stored(self)
        return self._expanded(self.segments)

    def pieces(self) -> Iterator[tuple[int, bytes]]:
        """The content as (offset, data), without holes."""
        if self.segments is None:
            at = 0
            for chunk in self._stream.stored(self):
                yield at, chunk
                at += len(chunk)
            return
        source = self._stream.stored(self)
        chunk = b""
        for offset, length in self.segments:
            while length:
                chunk = chunk or next(source)
                part, chunk = chunk[:length], chunk[length:]
                yield offset, part
                offset += len(part)
                length -= len(part)

    def _expanded(self, segments: Segments) -> Iterator[bytes]:
        at = 0
        for offset, part in self.pieces():
            yield from _zeros(offset - at)
            yield part
            at = offset + len(part)
        yield from _zeros(self.size - at)


def _zeros(count: int) -> Iterator[bytes]:
    while count > 0:
        yield _ZEROS[:count] if count < len(_ZEROS) else _ZEROS
        count -= len(_ZEROS)


class TarStream:
    """The chunk at hand, and how much of the entry at hand is left in the stream."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._chunk = b""
        self._at = 0
        self._base = 0  # offset of the chunk in the stream
        self._left = 0  # bytes of the entry's data not read yet
        self._padding = 0
        self._name = b""  # of the entry at hand, for messages
        self._start = 0

    def drain(self) -> None:
        """Read what follows the end of the archive, as its digest covers it."""
        self._base += len(self._chunk)
        self._chunk = b""
        self._at = 0
        for chunk in self._chunks:
            self._base += len(chunk)

    def stored(self, entry: TarEntry) -> Iterator[bytes]:
        """The data of the entry at hand."""
        while self._left and entry.offset == self._start:
            if self._at >= len(self._chunk):
                self._fill()
            part = self._chunk[self._at : self._at + self._left]
            self._at += len(part)
            self._left -= len(part)
            yield part

    def small(self) -> bytes | None:
        """All stored data of the entry at hand when they are in the chunk at hand, else None."""
        end = self._at + self._left
        if end > len(self._chunk):
            return None
        data = self._chunk[self._at : end]
        self._at = end
        self._left = 0
        return data

    def _fill(self) -> None:
        """The next chunk that is not empty, when the one at hand is used up."""
        self._base += len(self._chunk)
        self._at = 0
        self._chunk = b""
        for chunk in self._chunks:
            if chunk:
                self._chunk = chunk
                return
        raise self._error("the archive ends too early", hint="it is truncated: copy or download it again")

    def _take(self, size: int, *, may_end: bool = False) -> bytes:
        """`size` bytes; with `may_end` none at all when the stream ends here."""
        parts: list[bytes] = []
        while size:
            if self._at >= len(self._chunk):
                try:
                    self._fill()
                except ArchiveError:
                    if may_end and not parts:
                        return b""
                    raise
            part = self._chunk[self._at : self._at + size]
            self._at += len(part)
            size -= len(part)
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _skip(self, size: int) -> None:
        while size:
            if self._at >= len(self._chunk):
                self._fill()
            step = min(size, len(self._chunk) - self._at)
            self._at += step
            size -= step

    def _error(self, what: str, *, hint: str | None = None) -> ArchiveError:
        where = f"entry {show(self._name)!r} at offset {self._start}" if self._name else f"offset {self._start}"
        return ArchiveError(f"tar, {where}: {what}", hint=hint)
