"""Small files as they stand in a tar: read and given a header in one loop, here or in a process that does nothing else.

`serve` is that process; `readers` starts it. It loads modules that need the standard library only.
"""

from __future__ import annotations

import os
import struct
from errno import ENOTSUP

from pywerf.layer.tar_header import NANOSECONDS, PADDING, Headers
from pywerf.layer.xattrs import read_xattrs
from pywerf.linux import owners

TYPE_CHECKING = False  # the typing module would double the process's start-up time
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeAlias

    # What is to stand in the tar, in order: entries that are made already, and names of files in one folder,
    # whose path is relative and ends with a slash.
    Batch: TypeAlias = Sequence[bytes | tuple[bytes, Sequence[bytes]]]
    # A file with several names: device, inode, mode, uid, gid, mtime_ns; its entry, should this be the first name:
    # empty where it cannot be, since an earlier name has been seen.
    Linked: TypeAlias = tuple[int, int, int, int, int, int, bytes]
    # A file that is left over: the length of the entries before it, its number in the batch, and what it is, when
    # it is left over for having several names.
    Left: TypeAlias = tuple[int, int, Linked | None]
    # Gets entries, after how many of the batch's files they end, and which of these are left over.
    Put: TypeAlias = Callable[[bytes, int, list[Left]], object]

__all__ = ["FRAME", "OPEN", "REQUEST", "SMALL", "Packer", "serve"]

SMALL = 1 << 20
"""Larger files are left over."""

OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK

REQUEST = 256 << 10
"""A batch as it is sent is smaller."""

FRAME = struct.Struct("=III")
"""Before what a process writes: the length of the entries, the number of files, the length of what is left over."""

_CHUNK = 512 << 10  # what `put` gets at once, roughly
_REGULAR = 0o10  # the mode's type
_LABEL = ["security.selinux"]  # on each file where SELinux is; no layer holds it


class Packer:
    """Makes the entries of files below `root`, a path that ends with a slash.

    Left over to whoever asks are files of more than SMALL bytes, those with several names, empty ones with xattrs,
    which may stand for something else, and what cannot be read or is no regular file: whoever asks comes upon
    the error itself. Times later than `clamp` become it. `moving`: the current directory may change, which
    saves looking the folders up for each file.
    """

    def __init__(self, root: bytes, clamp: int, *, subsecond: bool = False, moving: bool = False) -> None:
        self._root = root
        self._headers = Headers(clamp, subsecond=subsecond)
        self._whole = not subsecond
        self._moving = moving
        self._linked: set[tuple[int, int]] = set()

    def pack(self, batch: Batch, put: Put, done: int = 0) -> None:
        """Make the entries of a batch, of which `done` files have been made before."""
        # What the loop calls is local. A file costs open, fstat, listxattr, read and close: an lstat and a
        # listxattr by path would each look the path up again.
        os_open, os_read, os_close, os_fstat, listxattr = os.open, os.read, os.close, os.fstat, os.listxattr
        file_header, whole = self._headers.file, self._whole
        parts: list[bytes] = []
        left: list[Left] = []
        length = held = number = 0
        for item in batch:
            if isinstance(item, bytes):
                if number >= done:
                    parts.append(item)
                    length += len(item)
                continue
            rel, names = item
            if number < done:
                skipped = min(done - number, len(names))
                names = names[skipped:]
                number += skipped
            folder = self._folder(rel)
            for name in names:
                header = b""
                other: bytes | Linked = b""
                try:
                    fd = os_open(folder + name, OPEN)
                    try:
                        status = os_fstat(fd)
                        mode, _, _, links, uid, gid, size, _, mtime, _ = status
                        if size <= SMALL and mode >> 12 == _REGULAR:
                            try:
                                attributes = listxattr(fd)
                            except OSError as error:
                                if error.errno != ENOTSUP:
                                    raise
                                attributes = []
                            if links == 1 and whole and not attributes:
                                data = os_read(fd, size) if size else b""
                                if len(data) == size:
                                    header = file_header(rel + name, mode & 0o7777, uid, gid, size, mtime)  # type: ignore[arg-type]  # as a tuple, a status has whole seconds
                            if not header:
                                other = self._other(fd, rel + name, status, attributes)
                    finally:
                        os_close(fd)
                except OSError:
                    other = b""
                if header:
                    parts += (header, data, PADDING[size & 511])
                    length += 512 + (size + 511 & -512)
                elif isinstance(other, bytes) and other:
                    parts.append(other)
                    length += len(other)
                elif other:
                    left.append((length, number, other))
                    held += len(other[-1])
                else:
                    left.append((length, number, None))
                number += 1
                if length + held >= _CHUNK:
                    put(b"".join(parts), number, left)
                    parts, left = [], []
                    length = held = 0
        if parts or left:
            put(b"".join(parts), number, left)

    def _other(self, fd: int, name: bytes, status: os.stat_result, attributes: list[str]) -> bytes | Linked:
        """A small file that is not as most are: its entry, empty where it is left over; what it is if it has names."""
        size = status.st_size
        if attributes == _LABEL:
            attributes = []
        if attributes:
            if not size:
                return b""
            status = owners.seen(fd, status)
        mode, ino, dev, links, uid, gid = status.st_mode & 0o7777, *status[1:6]
        mtime_ns = status.st_mtime_ns
        entry = b""
        if links == 1 or (dev, ino) not in self._linked:
            data = os.pread(fd, size, 0) if size else b""
            if len(data) != size:
                return b""
            if not attributes and self._whole:
                entry = self._headers.file(name, mode, uid, gid, size, mtime_ns // NANOSECONDS)
            if not entry:
                xattrs = read_xattrs(fd, attributes)
                entry = self._headers.entry(name, b"0", mode, uid, gid, size, mtime_ns, xattrs=xattrs)
            entry = b"%b%b%b" % (entry, data, PADDING[size & 511])
        if links == 1:
            return entry
        self._linked.add((dev, ino))
        return dev, ino, mode, uid, gid, mtime_ns, entry

    def _folder(self, rel: bytes) -> bytes:
        """What to put before the names in a folder."""
        folder = self._root + rel
        if self._moving:
            try:
                os.chdir(folder)
            except OSError:
                return folder
            return b""
        return folder


def serve(requests: int, results: int, root: bytes, clamp: int, subsecond: bool) -> None:
    """Read batches from a socket of packets, write what a Packer makes of them to a pipe.

    Ends the process when there are no more, or nobody is left to ask.
    """
    import marshal

    def put(data: bytes, number: int, left: list[Left]) -> None:
        rest = marshal.dumps(left) if left else b""
        frame = FRAME.pack(len(data), number, len(rest))
        written = os.writev(results, (frame, data, rest))  # joined, they would be copied
        if written < len(frame) + len(data) + len(rest):
            view = memoryview(b"".join((frame, data, rest)))[written:]
            while view:
                view = view[os.write(results, view) :]

    try:
        packer = Packer(root, clamp, subsecond=subsecond, moving=True)
        while request := os.read(requests, REQUEST):
            packer.pack(marshal.loads(request), put)
    except (BrokenPipeError, ConnectionResetError):
        pass
    os._exit(0)
