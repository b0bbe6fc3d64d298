"""The file system that layers add up to, read from their blobs: nothing is unpacked or mounted, no privilege needed."""

from __future__ import annotations

import errno
import os

from pywerf.backend.buildah.blob_index import LayerFile, LayerIndex
from pywerf.linux.dirtree import sort_nodes
from pywerf.util.filetree import Node, join, resolve

__all__ = ["BlobTree"]

Folder = dict[str, LayerFile]


class BlobTree:
    """A FileTree. It never changes: `with_layer` gives another one, which shares what is the same."""

    __slots__ = ("_folders", "_root")

    def __init__(self) -> None:
        self._folders: dict[str, Folder] = {"": {}}
        self._root: LayerFile | None = None

    def with_layer(self, index: LayerIndex) -> BlobTree:
        """The files with a layer on top. Its removals are about what is below, wherever they stand in it."""
        tree = BlobTree()
        tree._folders = dict(self._folders)
        tree._root = self._root
        change = _Change(tree._folders, index)
        for path in index.removed:
            change.remove(path)
        for path in index.opaque:
            change.clear(path)
        for path, file in index.entries:
            if path:
                change.put(path, file, tree)
            else:
                tree._root = file
        for path in index.opaque:
            change.make(path, tree)
        return tree

    def find(self, path: str) -> LayerFile | None:
        """The entry at `path`; None for what no layer has an entry of, the root maybe."""
        if not path:
            return self._root
        folder, _, name = path.rpartition("/")
        return self._folders.get(folder, {}).get(name)

    def lstat(self, path: str) -> Node | None:
        """See FileTree."""
        file = self.find(path)
        if file is not None:
            return file.node
        return None if path else Node("", "dir", 0o755, 0, 0, 0, 0)

    def scandir(self, path: str) -> list[Node]:
        """See FileTree."""
        folder = self._folders.get(path)
        if folder is None:
            number = errno.ENOENT if self.find(path) is None else errno.ENOTDIR
            raise OSError(number, os.strerror(number), path)
        return sort_nodes([file.node for file in folder.values()])

    def readlink(self, path: str) -> str:
        """See FileTree."""
        file = self._existing(path)
        if file.node.kind != "symlink":
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), path)
        return file.target

    def open(self, path: str) -> int:
        """See FileTree."""
        file = self._existing(path)
        if file.node.kind != "file":
            raise OSError(errno.EINVAL, "not a regular file", path)
        return file.index.open(file)

    def xattrs(self, path: str) -> dict[str, bytes]:
        """See FileTree."""
        if not path and self._root is None:
            return {}
        return dict(self._existing(path).xattrs)

    def _existing(self, path: str) -> LayerFile:
        file = self.find(path)
        if file is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return file


class _Change:
    """Puts one layer on folders that other trees share: each is copied before it is written to."""

    def __init__(self, folders: dict[str, Folder], index: LayerIndex) -> None:
        self._folders = folders
        self._index = index
        self._own: set[str] = set()

    def remove(self, path: str) -> None:
        """Remove a file, or a directory with all in it. Nothing happens when there is none."""
        folder, _, name = path.rpartition("/")
        if name in self._folders.get(folder, {}):
            del self._writable(folder)[name]
            self._forget(path)

    def clear(self, path: str) -> None:
        """Remove all in a directory."""
        if path in self._folders:
            self._forget(path)
            self._make(path)

    def make(self, path: str, tree: BlobTree) -> None:
        """Make a directory that is not there."""
        if path not in self._folders:
            self._parent(path, tree)

    def put(self, path: str, file: LayerFile, tree: BlobTree) -> None:
        """Put an entry where it belongs, in place of what is there; directories merge."""
        folder, _, name = path.rpartition("/")
        if folder not in self._folders:
            folder = self._parent(folder, tree)
            path = join(folder, name)
        if file.node.kind == "dir":
            if path not in self._folders:
                self._make(path)
        else:
            self._forget(path)
        self._writable(folder)[name] = file

    def _parent(self, path: str, tree: BlobTree) -> str:
        """The directory `path`, made where it is missing. Links of this very layer are followed, as unpacking would;

        what a lower layer has in its place is hidden.
        """
        here = ""
        for name in path.split("/"):
            above, here = here, join(here, name)
            if here in self._folders:
                continue
            there = self._folders[above].get(name)
            if there is not None and there.index is self._index and there.node.kind == "symlink":
                here = resolve(tree, here)
                if here in self._folders:
                    continue
                above, _, name = here.rpartition("/")
                if above not in self._folders:
                    above = self._parent(above, tree)
                    here = join(above, name)
            node = Node(name, "dir", 0o755, 0, 0, 0, 0)
            self._writable(above)[name] = LayerFile(self._index, node, "", {}, 0)
            self._make(here)
        return here

    def _make(self, path: str) -> None:
        self._folders[path] = {}
        self._own.add(path)

    def _writable(self, path: str) -> Folder:
        if path not in self._own:
            self._own.add(path)
            self._folders[path] = dict(self._folders[path])
        return self._folders[path]

    def _forget(self, path: str) -> None:
        """Forget a directory and all below it; nothing happens when it is none."""
        todo = [path]
        while todo:
            here = todo.pop()
            folder = self._folders.pop(here, None)
            if folder is not None:
                self._own.discard(here)
                todo += [join(here, name) for name, file in folder.items() if file.node.kind == "dir"]
