"""Locks on build steps in the making, so that two builds do not do the same step at the same time."""

from __future__ import annotations

import os

from pywerf.store.lock_files import flock, is_still, open_lock

__all__ = ["StepLock", "StepLocks"]


class StepLock:
    """A lock that is held: a file in ROOT/steps, locked by flock(2); the kernel lets go of it with the process."""

    __slots__ = ("_fd", "_path")

    def __init__(self, fd: int, path: str) -> None:
        self._fd = fd
        self._path = path

    def release(self) -> None:
        """Let go, and remove the file. Idempotent."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            try:
                os.unlink(self._path)
            except FileNotFoundError:
                pass  # somebody has cleaned the folder; the lock itself is the open file's
            os.close(fd)


class StepLocks:
    """The locks of a store by name. Threads count as processes do. The folder is empty when nothing is built."""

    def __init__(self, root: str) -> None:
        self._folder = f"{root}/steps"

    def acquire(self, name: str, note: str = "") -> StepLock | None:
        """Take the lock `name` (a file name) if nobody holds it; `note` is what others can find it by."""
        path = f"{self._folder}/{name}"
        while True:
            fd = open_lock(self._folder, name)
            if not flock(fd):
                os.close(fd)
                return None
            # Who held it before has removed the file when it let go: only a lock on the file that is there counts.
            if is_still(fd, path):
                if note:
                    os.pwrite(fd, note.encode(), 0)
                return StepLock(fd, path)
            os.close(fd)

    def is_noted(self, note: str) -> bool:
        """Whether somebody holds a lock with this note. Files that a killed process has left are removed."""
        try:
            names = os.listdir(self._folder)
        except FileNotFoundError:
            return False
        wanted = note.encode()
        for name in names:
            path = f"{self._folder}/{name}"
            try:
                fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            except FileNotFoundError:
                continue
            try:
                if os.pread(fd, len(wanted) + 1, 0) != wanted:
                    continue
                if not flock(fd):
                    return True
                if is_still(fd, path):
                    os.unlink(path)
            finally:
                os.close(fd)
        return False
