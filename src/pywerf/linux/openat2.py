"""Opening paths inside a directory that nothing leads out of: openat2(2), and the same by hand where it is missing."""

from __future__ import annotations

import ctypes
import errno
import os
from functools import cache

__all__ = ["RESOLVE_IN_ROOT", "RESOLVE_NO_MAGICLINKS", "RESOLVE_NO_SYMLINKS", "open_in_root", "openat2", "walk_in_root"]

RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_IN_ROOT = 0x10

_SYS_OPENAT2 = 437  # on every architecture
_MAX_LINKS = 40
_TRIES = 64
_PATH = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def openat2(dirfd: int, path: bytes, flags: int, mode: int = 0, resolve: int = 0) -> int:
    """openat2(2), Linux 5.6: open `path` below `dirfd` with limits on how it is resolved. Needs no privilege.

    Raises OSError; EAGAIN means that somebody renamed while `..` was being resolved.
    """
    how = _OpenHow(flags | os.O_CLOEXEC, mode, resolve)
    fd: int = _libc().syscall(_SYS_OPENAT2, dirfd, path, ctypes.byref(how), ctypes.c_size_t(ctypes.sizeof(how)))
    if fd < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)
    return fd


_missing = False  # the kernel, or a seccomp filter around us, refuses openat2


def open_in_root(root: int, path: bytes, flags: int) -> int:
    """Open an existing file below the directory `root` as if that were `/`: symlinks and `..` stay in it.

    Raises OSError as open(2); ELOOP for too many links.
    """
    global _missing
    if not _missing:
        for _ in range(_TRIES):
            try:
                return openat2(root, path, flags, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)
            except OSError as error:
                if error.errno in (errno.ENOSYS, errno.EPERM):
                    # EPERM is also O_NOATIME's; the walk below finds out again.
                    _missing = error.errno == errno.ENOSYS or not _works(root)
                    break
                if error.errno != errno.EAGAIN:
                    raise
    return walk_in_root(root, path, flags)


def _works(root: int) -> bool:
    try:
        os.close(openat2(root, b".", os.O_PATH | os.O_DIRECTORY, 0, RESOLVE_IN_ROOT))
    except OSError:
        return False
    return True


def walk_in_root(root: int, path: bytes, flags: int) -> int:
    """`open_in_root` with openat(2) alone, one component after the other, none of them followed by the kernel."""
    opened = [os.dup(root)]  # the directories from the root down to where the walk is
    todo = [part for part in reversed(path.split(b"/")) if part not in (b"", b".")]
    links = 0
    try:
        while todo:
            part = todo.pop()
            if part == b"..":
                if len(opened) > 1:
                    os.close(opened.pop())
                continue
            try:
                target = os.readlink(part, dir_fd=opened[-1])
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
            else:
                if todo or not flags & os.O_NOFOLLOW:
                    links += 1
                    if links > _MAX_LINKS:
                        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
                    if target.startswith(b"/"):
                        while len(opened) > 1:
                            os.close(opened.pop())
                    todo += [part for part in reversed(target.split(b"/")) if part not in (b"", b".")]
                    continue
            if not todo:
                # Whatever it became meanwhile, a link is not followed.
                return os.open(part, flags | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=opened[-1])
            opened.append(os.open(part, _PATH | os.O_DIRECTORY, dir_fd=opened[-1]))
        return os.open(b".", flags | os.O_CLOEXEC, dir_fd=opened[-1])
    finally:
        for fd in opened:
            os.close(fd)
