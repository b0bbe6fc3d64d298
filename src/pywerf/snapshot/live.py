"""The files of a snapshot that is still written to: its own layer is looked at anew each time."""

from __future__ import annotations

import errno
import os
import stat

from pywerf.linux.dirtree import Directory, DirectoryHandles, layer_xattrs, open_file, sort_nodes
from pywerf.snapshot.merged import LayerReader, MergedTree
from pywerf.util.filetree import Node, join

__all__ = ["LiveTree"]

_DOTS = frozenset(("", ".", ".."))


class LiveTree:
    """A `FileTree` of the layer directory `top`, which may change between calls, over frozen layers."""

    __slots__ = ("_below", "_handles", "_reader")

    def __init__(self, top: str, below: MergedTree, xattr_prefix: str = "trusted.overlay.") -> None:
        self._below = below
        self._reader = LayerReader(xattr_prefix)
        self._handles = DirectoryHandles((top,), 0)

    def lstat(self, path: str) -> Node | None:
        """See FileTree."""
        directory, st, below = self._find(path)
        if st is not None:
            name = path.rpartition("/")[2]
            return self._reader.node(name, st, directory)
        return self._below.lstat(path) if below else None

    def scandir(self, path: str) -> list[Node]:
        """See FileTree."""
        directory, st, below = self._find(path)
        if st is None:
            if below:
                return self._below.scandir(path)
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        own = directory if not path else self._enter(path, directory, st)
        opacity = self._reader.opacity(own)
        nodes: dict[str, Node | None] = {}
        with os.scandir(own.fd) as entries:
            for entry in entries:
                try:
                    st = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                gone = self._reader.is_whiteout(entry.name, st, own, opacity)
                nodes[entry.name] = None if gone else self._reader.node(entry.name, st, own)
        if below and (opacity != "y" or not path):
            hidden = self._below.lstat(path)
            if hidden is not None and hidden.kind == "dir":
                for node in self._below.scandir(path):
                    nodes.setdefault(node.name, node)
        return sort_nodes([node for node in nodes.values() if node is not None])

    def readlink(self, path: str) -> str:
        """See FileTree."""
        directory = self._own(path)
        if directory is None:
            return self._below.readlink(path)
        return os.readlink(path.rpartition("/")[2], dir_fd=directory.fd)

    def open(self, path: str) -> int:
        """See FileTree."""
        directory = self._own(path)
        if directory is None:
            return self._below.open(path)
        return open_file(path.rpartition("/")[2], directory.fd)

    def xattrs(self, path: str) -> dict[str, bytes]:
        """See FileTree."""
        directory = self._own(path)
        if directory is None:
            return self._below.xattrs(path)
        name = path.rpartition("/")[2] or "."
        return layer_xattrs(f"/proc/self/fd/{directory.fd}/{name}", self._reader.prefix)

    def _own(self, path: str) -> Directory | None:
        """The open parent of `path` in the top layer (of the root: itself), or None when it is below."""
        directory, st, below = self._find(path)
        if st is not None:
            return directory
        if below:
            return None
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)

    def _find(self, path: str) -> tuple[Directory, os.stat_result | None, bool]:
        """How far `path` leads in the top layer: its parent there, its lstat or None, whether what is below counts."""
        directory = self._handles.get("")
        below = True  # the kernel takes no root for opaque
        if not path:
            return directory, os.fstat(directory.fd), below
        parts = path.split("/")
        here = ""
        for position, name in enumerate(parts):
            if name in _DOTS:
                return directory, None, False
            try:
                st = os.stat(name, dir_fd=directory.fd, follow_symlinks=False)
            except FileNotFoundError:
                return directory, None, below
            if self._reader.is_whiteout(name, st, directory, self._reader.opacity(directory)):
                return directory, None, False
            if position == len(parts) - 1:
                return directory, st, below
            if not stat.S_ISDIR(st.st_mode):
                return directory, None, False
            directory = self._enter(name, directory, st)
            here = join(here, name)
            # An opaque directory, or one in the place of another kind of file, hides all that is below.
            below = below and self._reader.opacity(directory) != "y" and self._is_directory_below(here)
        return directory, None, below

    def _is_directory_below(self, path: str) -> bool:
        node = self._below.lstat(path)
        return node is not None and node.kind == "dir"

    @staticmethod
    def _enter(path: str, parent: Directory, st: os.stat_result) -> Directory:
        if not stat.S_ISDIR(st.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
        name = path.rpartition("/")[2]
        return Directory(os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent.fd))
