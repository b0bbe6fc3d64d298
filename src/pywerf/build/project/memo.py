"""Answers that are remembered between builds, in small files of the home directory. They may be deleted at any time."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import time

__all__ = ["FileMemo"]

_numbers = itertools.count()
_TOUCH_AFTER = 3600.0


class FileMemo:
    """A map from text to bytes: one file each below `HOME/local_cache/KIND`. Any thread and any process may call.

    Where nothing can be written nothing is remembered.
    """

    def __init__(self, home: str, kind: str) -> None:
        self._folder = os.path.join(home, "local_cache", kind)

    def get(self, key: str) -> bytes | None:
        """The value, or None. A file's time tells when it was last used, to the hour."""
        path = self._path(key)
        try:
            with open(path, "rb") as file:
                data = file.read()
            if os.stat(path).st_mtime < time.time() - _TOUCH_AFTER:
                os.utime(path)
        except OSError:
            return None
        return data

    def put(self, key: str, value: bytes) -> None:
        """Remember. Atomic."""
        path = self._path(key)
        new = f"{path}.{os.getpid()}.{next(_numbers)}.tmp"
        with contextlib.suppress(OSError):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            try:
                with open(new, "wb") as file:
                    file.write(value)
                os.replace(new, path)
            finally:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(new)

    def forget(self, key: str) -> None:
        """Remember no more. Idempotent."""
        with contextlib.suppress(OSError):
            os.unlink(self._path(key))

    def _path(self, key: str) -> str:
        name = hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()[:40]
        return os.path.join(self._folder, name[:2], name)
