"""The folders of RUN --mount=type=cache: where they are, and when each was used last."""

from __future__ import annotations

import os
import time

import msgspec

from pywerf.linux.removal import remove_tree
from pywerf.store.memo import Memo

__all__ = ["CacheMount", "CacheMounts"]

_KIND = "cache-mount"
_GONE = ".gone-"


class CacheMount(msgspec.Struct, frozen=True):
    """One cache: its folder's name, and the seconds since the epoch when a step had it last."""

    name: str
    last_used: float


class CacheMounts:
    """ROOT/cache-mounts. Any thread and any process may call."""

    def __init__(self, root: str, memo: Memo) -> None:
        self._folder = f"{root}/cache-mounts"
        self._memo = memo

    def path(self, name: str) -> str:
        """The folder of a cache, whether it is there or not."""
        return f"{self._folder}/{name}"

    def use(self, name: str) -> None:
        """Write down that a step has this cache now."""
        self._memo.put(_KIND, name, str(int(time.time())).encode())

    def list(self) -> list[CacheMount]:
        """All caches, the one that was used last first. What nobody has written down was used when it was changed."""
        found = []
        for name in os.listdir(self._folder):
            if name.startswith(_GONE):
                continue
            kept = self._memo.get(_KIND, name)
            try:
                used = os.lstat(self.path(name)).st_mtime if kept is None else float(kept)
            except FileNotFoundError:  # it went meanwhile
                continue
            found.append(CacheMount(name, used))
        return sorted(found, key=lambda mount: (-mount.last_used, mount.name))

    def remove(self, name: str) -> None:
        """Remove a cache that no step has; a kill on the way leaves the rest to `clean`. Idempotent."""
        gone = f"{self._folder}/{_GONE}{name}"
        remove_tree(gone)
        try:
            os.rename(self.path(name), gone)
        except FileNotFoundError:
            return
        remove_tree(gone)

    def clean(self) -> None:
        """Remove what a removal that was killed has left."""
        for name in os.listdir(self._folder):
            if name.startswith(_GONE):
                remove_tree(f"{self._folder}/{name}")
