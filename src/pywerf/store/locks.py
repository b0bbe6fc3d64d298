"""Locks and leases between processes: flock(2) on files, so that the kernel lets go of them when a process dies."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from pywerf.linux.removal import remove_tree
from pywerf.store.lock_files import flock, is_still, open_lock

__all__ = ["Locks", "Session", "clean_sessions", "oldest_session"]

_FOREIGN_AGE = 86400.0  # seconds


class Locks:
    """Named locks in ROOT/locks, leases in ROOT/leases. Every use opens the file anew: threads count, too."""

    def __init__(self, root: str) -> None:
        self._locks = f"{root}/locks"
        self._leases = f"{root}/leases"

    @contextmanager
    def lock(self, name: str, *, wait: bool = True) -> Iterator[bool]:
        """Hold the lock `name`. Yields True; False when `wait` is False and somebody else holds it."""
        fd = open_lock(self._locks, Locks.file_name(name))
        try:
            yield flock(fd, wait=wait)
        finally:
            os.close(fd)

    @contextmanager
    def lease(self, kind: str, id: str) -> Iterator[None]:
        """Keep `id` from being collected. Any number of holders; who takes one looks again whether `id` is there."""
        name = Locks.file_name(f"{kind}-{id}")
        while True:
            fd = open_lock(self._leases, name)
            try:
                flock(fd, shared=True, wait=True)
                if is_still(fd, f"{self._leases}/{name}"):
                    yield
                    return
            finally:
                os.close(fd)

    @contextmanager
    def unleased(self, kind: str, id: str) -> Iterator[bool]:
        """For the collector: yields whether nobody holds a lease, and lets nobody take one until the end."""
        name = Locks.file_name(f"{kind}-{id}")
        path = f"{self._leases}/{name}"
        fd = open_lock(self._leases, name)
        try:
            free = flock(fd, wait=False) and is_still(fd, path)
            try:
                yield free
            finally:
                if free:
                    os.unlink(path)
        finally:
            os.close(fd)

    @staticmethod
    def file_name(name: str) -> str:
        """A file name for any text: the text itself where that can be, else with a digest."""
        quoted = "".join(char if (char.isalnum() and char.isascii()) or char in "-_.:" else "%" for char in name)
        if quoted == name and 0 < len(name) <= 200 and not name.startswith("."):
            return name
        import hashlib

        return f"{quoted[:60].lstrip('.')}-{hashlib.sha256(name.encode('utf-8', 'surrogateescape')).hexdigest()}"


class Session:
    """What one process has in ROOT/tmp: a directory that is locked while the process lives.

    Its name begins with the time at which it was made (nanoseconds), so that a collector knows since when
    somebody may have been writing what no record tells of yet.
    """

    def __init__(self, tmp: str) -> None:
        self._tmp = tmp
        self._lock = threading.Lock()
        self._fd = -1
        self._path = ""
        self._pid = -1
        self._count = 0

    def path(self) -> str:
        """The directory, made at the first call."""
        if self._pid == os.getpid() and self._fd >= 0:
            return self._path
        with self._lock:
            if self._pid != os.getpid():
                self._fd = -1  # a fork's parent holds it; this process makes its own
            while self._fd < 0:
                self._make()
            return self._path

    def new_path(self, kind: str) -> str:
        """A path in the directory that nothing uses yet."""
        folder = self.path()
        with self._lock:
            self._count += 1
            return f"{folder}/{kind}-{self._count}"

    def _make(self) -> None:
        path = f"{self._tmp}/{time.time_ns()}-{os.getpid()}-{threading.get_native_id()}"
        os.mkdir(path, 0o700)
        # A cleaner may have come between the two calls: then it holds the lock, or has removed the directory.
        try:
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        if flock(fd, shared=True, wait=False) and is_still(fd, path):
            self._fd, self._path, self._pid = fd, path, os.getpid()
        else:
            os.close(fd)

    def close(self) -> None:
        """Remove the directory. Idempotent."""
        with self._lock:
            if self._fd >= 0 and self._pid == os.getpid():
                remove_tree(self._path)
                os.close(self._fd)
            self._fd = -1


def clean_sessions(tmp: str) -> None:
    """Remove from ROOT/tmp the sessions that no living process holds, and what else is older than a day."""
    for name in os.listdir(tmp):
        path = f"{tmp}/{name}"
        if not name.startswith(".gone-") and not name.partition("-")[0].isdecimal():
            try:
                if os.lstat(path).st_mtime > time.time() - _FOREIGN_AGE:
                    continue
            except FileNotFoundError:
                continue
        elif not name.startswith(".gone-"):
            try:
                fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            try:
                if not flock(fd, wait=False):
                    continue
                gone = f"{tmp}/.gone-{name}"
                try:
                    os.rename(path, gone)
                except FileNotFoundError:
                    continue
                path = gone
            finally:
                os.close(fd)
        remove_tree(path)


def oldest_session(tmp: str) -> float:
    """When the oldest session of a living process began (seconds since the epoch); now, when there is none."""
    oldest = time.time()
    for name in os.listdir(tmp):
        began, _, _ = name.partition("-")
        if not began.isdecimal():
            continue
        try:
            fd = os.open(f"{tmp}/{name}", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            if not flock(fd, wait=False):
                oldest = min(oldest, int(began) / 1e9)
        finally:
            os.close(fd)
    return oldest
