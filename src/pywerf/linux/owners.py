"""Owners where the kernel has only one: in a user namespace with one id, a mark stands for every other owner.

All files are the one id's there, which is 0 inside. The owner that a file shall have is kept

- of files and directories in the xattr `user.pywerf.owner` (`33:33`), as devices are (see `linux.devices`);
- of symlinks, fifos and sockets, which cannot have xattrs of users, in the access time: one beyond the year 2106
  whose bits are the two numbers. Nothing changes such a time: under `relatime` only times that lie behind are renewed.

No mark means 0:0. No layer holds a mark: what reads snapshots reads owners through this module. Elsewhere than in such
a namespace its functions are those of the system. Stands in the launcher too: standard library only.
"""

from __future__ import annotations

import errno
import os
import stat

from pywerf.linux.devices import PRIVATE

__all__ = [
    "MARK",
    "MAX_ID",
    "access_time",
    "emulated",
    "forget",
    "lstat",
    "mark",
    "owner_of",
    "seen",
    "set_owner",
    "times",
    "times_of",
    "with_owner",
]

MARK = PRIVATE + "owner"
MAX_ID = (1 << 31) - 1

_FIRST = 1 << 32  # seconds: what lies behind is a mark
_BITS = 29  # of the nanoseconds
_NO_MARK = frozenset((errno.ENODATA, errno.ENOTSUP, errno.EOPNOTSUPP))
_BILLION = 10**9

_emulated: bool | None = None


def emulated() -> bool:
    """Whether this process lives in a user namespace with one id. Asked once, and again after entering one."""
    global _emulated
    if _emulated is None:
        try:
            with open("/proc/self/uid_map", "rb") as file:  # a text would need a codec, whose file may be out of reach
                words = file.read().split()
        except OSError:
            words = []
        _emulated = len(words) == 3 and words[0] == b"0" and words[2] == b"1"
    return _emulated


def forget() -> None:
    """This process has changed its namespace."""
    global _emulated
    _emulated = None


def access_time(uid: int, gid: int) -> int:
    """The nanoseconds that stand for an owner. Raises OSError(EINVAL) for numbers above 2^31 - 1."""
    if not (0 <= uid <= MAX_ID and 0 <= gid <= MAX_ID):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    value = uid << 31 | gid
    return (_FIRST + (value >> _BITS)) * _BILLION + (value & (1 << _BITS) - 1)


def _owner_by_time(atime_ns: int) -> tuple[int, int] | None:
    seconds, nanoseconds = divmod(atime_ns, _BILLION)
    if seconds < _FIRST or nanoseconds >> _BITS:
        return None
    value = (seconds - _FIRST) << _BITS | nanoseconds
    return (value >> 31, value & MAX_ID) if value >> 62 == 0 else None


def _parse(value: bytes) -> tuple[int, int] | None:
    uid, _, gid = value.partition(b":")
    if not (uid.isdigit() and gid.isdigit() and len(value) < 24):
        return None
    owner = int(uid), int(gid)
    return owner if max(owner) < 0xFFFFFFFF else None


def owner_of(target: int | str | bytes, status: os.stat_result, *, follow: bool = False) -> tuple[int, int] | None:
    """The owner that is kept for a file with that status; None: there is no mark."""
    mode = status.st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        return _owner_by_time(status.st_atime_ns)
    try:
        if isinstance(target, int):
            return _parse(os.getxattr(target, MARK))
        return _parse(os.getxattr(target, MARK, follow_symlinks=follow))
    except OSError as error:
        if error.errno in _NO_MARK:
            return None
        raise


def with_owner(status: os.stat_result, uid: int, gid: int, device: tuple[int, int] | None = None) -> os.stat_result:
    """The same status with another owner, and as a `device` (type and number); without the time that is a mark."""
    mode, ino, dev, nlink, _, _, size, atime, mtime, ctime = status
    names = ("st_atime_ns", "st_mtime_ns", "st_ctime_ns", "st_blksize", "st_blocks", "st_rdev")
    rest = {name: getattr(status, name) for name in names}
    if _owner_by_time(rest["st_atime_ns"]) is not None:
        atime, rest["st_atime_ns"] = mtime, rest["st_mtime_ns"]
    if device is not None:
        mode, rest["st_rdev"] = stat.S_IMODE(mode) | device[0], device[1]
    return os.stat_result((mode, ino, dev, nlink, uid, gid, size, atime, mtime, ctime), rest)


def seen(target: int | str | bytes, status: os.stat_result) -> os.stat_result:
    """A status as a layer has it: with the owner that is kept. `target` is a descriptor, or a path, not followed."""
    if not emulated():
        return status
    owner = owner_of(target, status)
    return status if owner is None else with_owner(status, *owner)


def lstat(path: str | bytes) -> os.stat_result:
    """lstat(2), with the owner that is kept."""
    return seen(path, os.lstat(path))


def set_owner(target: int | str | bytes, uid: int, gid: int, *, dir_fd: int | None = None) -> None:
    """fchown(2) of a descriptor, lchown(2) of a path; where there is one id, what stands for it.

    Raises OSError. A symlink, fifo or socket has its mark in its access time: set that with its other times
    (`access_time`) if you set those.
    """
    if not emulated():
        if isinstance(target, int):
            os.fchown(target, uid, gid)
        else:
            os.chown(target, uid, gid, dir_fd=dir_fd, follow_symlinks=False)
        return
    if isinstance(target, int):
        os.fchown(target, 0, 0)  # for what else it does: it takes set-user-ID bits and capabilities away
        mark(target, os.fstat(target), uid, gid)
        return
    os.chown(target, 0, 0, dir_fd=dir_fd, follow_symlinks=False)
    if dir_fd is not None:
        target = os.fsencode(f"/proc/self/fd/{dir_fd}/") + os.fsencode(target)
    mark(target, os.lstat(target), uid, gid)


def mark(target: int | str | bytes, status: os.stat_result, uid: int, gid: int, *, follow: bool = False) -> None:
    """Keep an owner for a file with that status; 0:0 needs no mark."""
    mode = status.st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        if (uid, gid) != (0, 0):
            atime = access_time(uid, gid)
        elif _owner_by_time(status.st_atime_ns) is not None:
            atime = status.st_mtime_ns
        else:
            return
        if isinstance(target, int):
            os.utime(target, ns=(atime, status.st_mtime_ns))
        else:
            os.utime(target, ns=(atime, status.st_mtime_ns), follow_symlinks=follow)
        return
    if (uid, gid) != (0, 0):
        value = b"%d:%d" % (uid, gid)
        if isinstance(target, int):
            os.setxattr(target, MARK, value)
        else:
            os.setxattr(target, MARK, value, follow_symlinks=follow)
        return
    try:
        if isinstance(target, int):
            os.removexattr(target, MARK)
        else:
            os.removexattr(target, MARK, follow_symlinks=follow)
    except OSError as error:
        if error.errno not in _NO_MARK:
            raise


def times(status: os.stat_result, mtime_ns: int) -> tuple[int, int]:
    """(access, modification) for utimensat(2) that sets the latter and keeps an owner that is in the former."""
    if emulated() and _owner_by_time(status.st_atime_ns) is not None:
        return status.st_atime_ns, mtime_ns
    return mtime_ns, mtime_ns


def times_of(path: str | bytes, mtime_ns: int, *, dir_fd: int | None = None) -> tuple[int, int]:
    """`times` for a path, which is looked at only where it may have such an owner."""
    return times(os.lstat(path, dir_fd=dir_fd), mtime_ns) if emulated() else (mtime_ns, mtime_ns)
