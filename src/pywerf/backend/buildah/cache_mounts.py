"""RUN --mount=type=cache: folders that outlive the build, shared by all steps that ask for the same one."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol

from pywerf.backend.buildah.export_tree import export_tree
from pywerf.backend.buildah.files import Files, Result
from pywerf.errors import BuildError
from pywerf.graph.op import ExecMount
from pywerf.linux import owners
from pywerf.linux.openat2 import open_in_root

if TYPE_CHECKING:
    from pywerf.store.store import Store
    from pywerf.util.filetree import FileTree

__all__ = ["CacheFolder", "CacheWatcher", "cache_name", "lock_caches"]

_PRIVATE_LIMIT = 1000


def cache_name(mount: ExecMount, source: Result | None) -> str:
    """The folder's name. The id makes it, and what the cache begins with: `from`, and uid, gid and mode of its root.

    So it is with BuildKit: steps that want other owners, or begin with other files, do not share.
    """
    begins_with = ""
    if mount.input >= 0:
        if isinstance(source, Files):
            begins_with = source.identity or source.name
        else:
            begins_with = "scratch" if source is None else source.identity
    parts = (mount.id or mount.target, begins_with, mount.uid, mount.gid, mount.mode)
    return hashlib.sha256(repr(parts).encode("utf-8", "surrogateescape")).hexdigest()


class CacheWatcher(Protocol):
    """Who has more of caches than this store: other machines. `name` is the folder's."""

    def used(self, id: str, name: str) -> None:
        """A step is about to use this cache."""

    def fill(self, id: str, name: str, folder: str) -> bool:
        """Put files into the folder of a cache that is new here; False, and the folder as it was: there are none."""


def lock_caches(store: Store, stack: ExitStack, names: Iterable[str]) -> None:
    """Hold the caches of `sharing=locked`: always in the same order, so that two steps never wait for each other."""
    for name in sorted(set(names)):
        stack.enter_context(store.lock(f"cache-mount-{name}"))


class CacheFolder:
    """One cache mount of a step that is about to run. `tree` has what `from` names, None for an empty beginning."""

    def __init__(
        self,
        store: Store,
        stack: ExitStack,
        mount: ExecMount,
        name: str,
        tree: FileTree | None,
        watcher: CacheWatcher | None = None,
    ) -> None:
        self._store = store
        self._stack = stack
        self._mount = mount
        self._name = name
        self._tree = tree
        self._watcher = watcher

    def open(self, scratch: str) -> tuple[str, bool]:
        """The folder, made if it is new (in `scratch` first); and whether `source` names a folder in it.

        Raises BuildError when the cache has no such `source`.
        """
        folder = self._store.cache_mounts.path(self._name)
        if self._mount.sharing == "private":
            folder = self._private(folder)
        if self._watcher is not None:
            self._watcher.used(self._mount.id or self._mount.target, self._name)
        self._store.cache_mounts.use(os.path.basename(folder))
        if not os.path.isdir(folder):
            self._make(folder, scratch)
        source = self._mount.source.strip("/")
        if not source.strip("/."):
            return folder, True
        root = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fd = open_in_root(root, os.fsencode(source), os.O_PATH | os.O_CLOEXEC)
        except OSError as error:
            raise BuildError(
                f'--mount=type=cache: "{self._mount.source}": {(error.strerror or "").lower()} in the cache',
                hint="source is a path in what `from` names, or in what earlier steps have put into the cache",
            ) from error
        finally:
            os.close(root)
        try:
            return folder, stat.S_ISDIR(os.fstat(fd).st_mode)
        finally:
            os.close(fd)

    def _private(self, folder: str) -> str:
        """The first of folder, folder-1, … that no running step has."""
        for number in range(_PRIVATE_LIMIT):
            lock = self._store.lock(f"cache-mount-{self._name}-{number}", wait=False)
            if self._stack.enter_context(lock):
                return folder if not number else f"{folder}-{number}"
        raise BuildError("too many steps use the same private cache mount at once")

    def _make(self, folder: str, new: str) -> None:
        mount = self._mount
        os.makedirs(new, exist_ok=True)
        watcher = self._watcher
        filled = watcher is not None and watcher.fill(mount.id or mount.target, self._name, new)
        if self._tree is not None and not filled:
            export_tree(self._tree, "", new)
        if mount.mode is not None or self._tree is None:
            os.chmod(new, 0o755 if mount.mode is None else mount.mode)
        owners.set_owner(new, mount.uid or 0, mount.gid or 0)
        os.makedirs(os.path.dirname(folder), exist_ok=True)
        try:
            os.rename(new, folder)
        except OSError:
            if not os.path.isdir(folder):  # else another process was first: its cache is as good
                raise
