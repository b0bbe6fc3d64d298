"""Writing tar: one fixed form, made for speed, straight into a sink.

The form is POSIX ustar (IEEE Std 1003.1-2017, pax, "ustar Interchange Format"); a pax record stands
only where a ustar field cannot hold the value. The same entries always give the same bytes.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Literal

from pywerf.errors import ArchiveError
from pywerf.layer.tar_format import show
from pywerf.layer.tar_header import NANOSECONDS, PADDING, Headers
from pywerf.oci.digest import Digest

__all__ = ["WHITEOUT_PREFIX", "DeviceKind", "TarWriter", "read_exactly"]

DeviceKind = Literal["char", "block", "fifo"]

BLOCK = 512
WHITEOUT_PREFIX = b".wh."

_FLUSH = 512 << 10  # what sinks see at once, roughly
_LARGE = 64 << 10  # what is not worth being joined with others
_READ = 1 << 20
_FOREVER = 1 << 62
_DEVICE_TYPES = {"char": b"3", "block": b"4", "fifo": b"6"}


class TarWriter:
    """A tar stream into `write`, which gets large chunks (about 512 KiB; the last one may be small).

    Paths are relative, with `/` between names and no slash at either end; `str` in os.fsdecode's form.
    Modes are permission bits (0o7777). `clamp`: times later than that many seconds since 1970 become
    it. Times are written in whole seconds unless `subsecond` asks for pax records with the rest.
    `entries` counts what was written. Not for use from two threads at once.
    """

    __slots__ = ("_clamp", "_headers", "_parts", "_pending", "_subsecond", "_write", "entries")

    def __init__(self, write: Callable[[bytes], object], *, clamp: int | None = None, subsecond: bool = False) -> None:
        self._write = write
        self._clamp = _FOREVER if clamp is None else clamp
        self._subsecond = subsecond
        self._parts: list[bytes] = []
        self._pending = 0
        self._headers = Headers(self._clamp, subsecond=subsecond)
        self.entries = 0

    @property
    def clamp(self) -> int:
        """The latest time that is written, in seconds since 1970."""
        return self._clamp

    @property
    def subsecond(self) -> bool:
        """Whether times keep their fraction of a second."""
        return self._subsecond

    def directory(
        self, path: str, mode: int, uid: int, gid: int, mtime_ns: int, xattrs: Mapping[str, bytes] | None = None
    ) -> None:
        """A directory. Its name gets the trailing slash that readers expect."""
        self.put(os.fsencode(path) + b"/", b"5", mode, uid, gid, 0, mtime_ns, xattrs=xattrs)

    def file(
        self,
        path: str,
        mode: int,
        uid: int,
        gid: int,
        mtime_ns: int,
        size: int,
        fd: int,
        xattrs: Mapping[str, bytes] | None = None,
        *,
        digest: bool = False,
    ) -> Digest | None:
        """A regular file: exactly `size` bytes read from `fd`; what it grew meanwhile is not in it.

        Returns the sha256 of the content when `digest` asks. Raises ArchiveError when the file ends early.
        """
        name = os.fsencode(path)
        if size <= _READ:
            return self._small(name, mode, uid, gid, mtime_ns, read_exactly(fd, size, name), xattrs, digest)
        return self.put_stream(name, mode, uid, gid, mtime_ns, size, _read_chunks(fd, size), xattrs, digest=digest)

    def file_bytes(
        self,
        path: str,
        mode: int,
        uid: int,
        gid: int,
        mtime_ns: int,
        data: bytes,
        xattrs: Mapping[str, bytes] | None = None,
        *,
        digest: bool = False,
    ) -> Digest | None:
        """A regular file whose content is at hand."""
        return self._small(os.fsencode(path), mode, uid, gid, mtime_ns, data, xattrs, digest)

    def file_chunks(
        self,
        path: str,
        mode: int,
        uid: int,
        gid: int,
        mtime_ns: int,
        size: int,
        chunks: Iterable[bytes],
        xattrs: Mapping[str, bytes] | None = None,
        *,
        digest: bool = False,
    ) -> Digest | None:
        """A regular file whose content comes from elsewhere, as an archive that is being rewritten.

        Raises ArchiveError when the chunks are not `size` bytes together.
        """
        return self.put_stream(os.fsencode(path), mode, uid, gid, mtime_ns, size, chunks, xattrs, digest=digest)

    def symlink(
        self,
        path: str,
        target: str,
        uid: int,
        gid: int,
        mtime_ns: int,
        xattrs: Mapping[str, bytes] | None = None,
    ) -> None:
        """A symbolic link to `target`, which is written as it is."""
        self.put(os.fsencode(path), b"2", 0o777, uid, gid, 0, mtime_ns, os.fsencode(target), xattrs=xattrs)

    def hardlink(self, path: str, target: str, mode: int, uid: int, gid: int, mtime_ns: int) -> None:
        """A further name of `target`, an earlier path of this archive.

        The metadata are the file's own again: Docker applies what a link's header says.
        """
        self.put(os.fsencode(path), b"1", mode, uid, gid, 0, mtime_ns, os.fsencode(target))

    def device(
        self,
        path: str,
        kind: DeviceKind,
        mode: int,
        uid: int,
        gid: int,
        mtime_ns: int,
        rdev: int = 0,
        xattrs: Mapping[str, bytes] | None = None,
    ) -> None:
        """A character or block device (`rdev` as st_rdev has it) or a fifo."""
        self.put(os.fsencode(path), _DEVICE_TYPES[kind], mode, uid, gid, 0, mtime_ns, rdev=rdev, xattrs=xattrs)

    def whiteout(self, path: str) -> None:
        """The removal of `path` from the layers below (image-spec layer.md#whiteouts), without owner or time."""
        self.put_whiteout(os.fsencode(path))

    def close(self) -> None:
        """The end of the archive: two zero blocks, and everything handed to `write`."""
        self._append(bytes(2 * BLOCK))
        self.flush()

    def flush(self) -> None:
        """Hand everything so far to `write`."""
        if self._parts:
            data = b"".join(self._parts)
            self._parts.clear()
            self._pending = 0
            self._write(data)

    # What follows takes names as bytes; directory names carry their slash.

    def put_whiteout(self, name: bytes) -> None:
        """`whiteout` for a name in bytes."""
        folder, slash, base = name.rpartition(b"/")
        self.put_small(folder + slash + WHITEOUT_PREFIX + base, 0o600, 0, 0, 0, b"")

    def put_small(self, name: bytes, mode: int, uid: int, gid: int, mtime: int, data: bytes) -> None:
        """A regular file without xattrs, its time in whole seconds: the hot path of what is copied."""
        size = len(data)
        header = self._headers.file(name, mode, uid, gid, size, mtime)
        if header:
            self.entries += 1
        else:
            self.put(name, b"0", mode, uid, gid, size, mtime * NANOSECONDS)
        padding = PADDING[size & 511]
        self._parts += (header, data, padding)
        self._pending += len(header) + size + len(padding)
        if self._pending >= _FLUSH:
            self.flush()

    def put_made(self, data: bytes, entries: int) -> None:
        """Entries that stand in the tar as they are."""
        self.entries += entries
        if len(data) < _LARGE:
            self._append(data)
        else:
            self.flush()
            self._write(data)

    def put_stream(
        self,
        name: bytes,
        mode: int,
        uid: int,
        gid: int,
        mtime_ns: int,
        size: int,
        chunks: Iterable[bytes],
        xattrs: Mapping[str, bytes] | None = None,
        *,
        digest: bool = False,
    ) -> Digest | None:
        """`file_chunks` for a name in bytes."""
        self.put(name, b"0", mode, uid, gid, size, mtime_ns, xattrs=xattrs)
        state = hashlib.sha256() if digest else None
        left = size
        for chunk in chunks:
            left -= len(chunk)
            if left < 0:
                raise ArchiveError(f"{show(name)}: more content than the {size} bytes that were announced")
            if state is not None:
                state.update(chunk)
            if len(chunk) >= _FLUSH:
                self.flush()
                self._write(chunk)
            else:
                self._append(chunk)
        if left:
            raise ArchiveError(f"{show(name)}: the content ended {left} bytes before the {size} that were announced")
        self._append(PADDING[size & 511])
        return Digest.sha256(state.hexdigest()) if state is not None else None

    def put(
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
    ) -> None:
        """A header of any kind (ustar's type byte), with the pax header before it that it may need."""
        self._append(self._headers.entry(name, kind, mode, uid, gid, size, mtime_ns, link, rdev, xattrs))
        self.entries += 1

    def _small(
        self,
        name: bytes,
        mode: int,
        uid: int,
        gid: int,
        mtime_ns: int,
        data: bytes,
        xattrs: Mapping[str, bytes] | None,
        digest: bool,
    ) -> Digest | None:
        if xattrs or self._subsecond:
            self.put(name, b"0", mode, uid, gid, len(data), mtime_ns, xattrs=xattrs)
            self._append(data + PADDING[len(data) & 511])
        else:
            self.put_small(name, mode, uid, gid, mtime_ns // NANOSECONDS, data)
        return Digest.of(data) if digest else None

    def _append(self, data: bytes) -> None:
        self._parts.append(data)
        self._pending += len(data)
        if self._pending >= _FLUSH:
            self.flush()


def read_exactly(fd: int, size: int, name: bytes) -> bytes:
    """`size` bytes from `fd`. Raises ArchiveError when there are fewer."""
    data = os.read(fd, size) if size else b""
    while len(data) < size:
        more = os.read(fd, size - len(data))
        if not more:
            raise ArchiveError(
                f"{show(name)}: the file shrank from {size} to {len(data)} bytes while it was read",
                hint="something else writes to the files; try again when it has ended",
            )
        data += more
    return data


def _read_chunks(fd: int, size: int) -> Iterable[bytes]:
    """At most `size` bytes of `fd`, in large pieces."""
    while size > 0:
        data = os.read(fd, min(size, _READ))
        if not data:
            return
        size -= len(data)
        yield data
