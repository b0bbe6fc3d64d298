"""Files that flock(2) locks: the kernel lets go of a lock when the process that holds it dies."""

from __future__ import annotations

import fcntl
import os

from pywerf.errors import StoreError

__all__ = ["flock", "is_still", "open_lock"]

_OPEN = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


def open_lock(folder: str, name: str) -> int:
    """The file of a lock, made with its folder when it is not there."""
    path = f"{folder}/{name}"
    try:
        return os.open(path, _OPEN, 0o600)
    except FileNotFoundError:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        return os.open(path, _OPEN, 0o600)


def flock(fd: int, *, shared: bool = False, wait: bool = False) -> bool:
    """Take the lock; False when somebody else has it and `wait` is not asked. Raises StoreError."""
    try:
        fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError as error:
        raise StoreError(f"the store's file system cannot lock: {error}", hint="choose another --root") from error
    return True


def is_still(fd: int, path: str) -> bool:
    """Whether `path` is the file that is open as `fd`: only then a lock on it keeps others out."""
    try:
        there = os.lstat(path)
    except FileNotFoundError:
        return False
    here = os.fstat(fd)
    return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)
