"""Locks of one host: flock(2) on files, which the kernel lets go of when their holder dies."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager

from pywerf.errors import LockError
from pywerf.locks.base import Hold, WaitNotice

__all__ = ["FileLocker"]

_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


class _Held:
    def check(self) -> None:
        """Nobody can take a file's lock away."""


class FileLocker:
    """A Locker in `folder`, which is made when it is first needed; its files stay, they are empty.

    `space` tells the locks of different projects in one folder apart.
    """

    def __init__(self, folder: str, space: str = "", on_wait: WaitNotice | None = None) -> None:
        self._folder = folder
        self._space = space
        self._on_wait = on_wait

    @contextmanager
    def lock(self, name: str, *, shared: bool = False) -> Iterator[Hold]:
        path = os.path.join(self._folder, hashlib.sha256(f"{self._space}\0{name}".encode()).hexdigest()[:32])
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        try:
            os.makedirs(self._folder, mode=0o700, exist_ok=True)
            fd = os.open(path, _FLAGS, 0o600)
        except OSError as error:
            raise LockError(
                f"cannot lock {name!r}: {error}", hint=f"{self._folder} has to be writable (WERF_HOME moves it)"
            ) from error
        try:
            try:
                fcntl.flock(fd, kind | fcntl.LOCK_NB)
            except BlockingIOError:
                if self._on_wait is not None:
                    self._on_wait(name)
                fcntl.flock(fd, kind)
            yield _Held()
        finally:
            os.close(fd)

    def close(self) -> None:
        """There is nothing to close."""
