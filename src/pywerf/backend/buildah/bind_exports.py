"""Parts of a build context as folders, for all steps of a build that only read them."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from pywerf.backend.buildah.export_tree import export_tree
from pywerf.util.filetree import FileTree

if TYPE_CHECKING:
    from pywerf.store.store import Store

__all__ = ["BindExports"]


class BindExports:
    """Written once each, to this process's own folder of the store, which goes with the process. All is `owner`'s."""

    def __init__(self, store: Store, owner: tuple[int, int] = (0, 0)) -> None:
        self._store = store
        self._owner = owner
        self._lock = threading.Lock()
        self._folders: dict[tuple[int, str], tuple[FileTree, str]] = {}  # keeps the trees: their ids stay theirs

    def path(self, tree: FileTree, source: str) -> str:
        """What is at `source` (resolved) of the tree, as a file or a folder."""
        key = (id(tree), source)
        with self._lock:
            known = self._folders.get(key)
            if known is None:
                place = os.path.join(self._store.scratch_dir, f"bind-{len(self._folders)}")
                export_tree(tree, source, place, owner=self._owner)
                known = self._folders[key] = (tree, place)
        return known[1]
