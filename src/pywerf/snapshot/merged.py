"""The files of a stack of overlay layers, merged as the kernel would, without mounting anything.

The rules are those of the kernel (Documentation/filesystems/overlayfs.rst): the nearest layer that has a name
decides; a character device 0/0 hides it, an opaque directory hides all that is below, directories merge.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Sequence

from pywerf.linux.dirtree import Directory, DirectoryHandles, layer_xattrs, node_in, node_of, open_file, sort_nodes
from pywerf.util.filetree import Node, join

__all__ = ["LayerReader", "MergedTree", "TopNames"]

_DOTS = frozenset(("", ".", ".."))
_MAX_REMEMBERED = 50_000
_MANY_LAYERS = 8  # from here on it pays to read what layers have at their top
_MAX_TOP_NAMES = 200
_NO_XATTR = frozenset((errno.ENODATA, errno.ENOTSUP, errno.EOPNOTSUPP))


class LayerReader:
    """How whiteouts and opaque directories look: `prefix` is `trusted.overlay.` or `user.overlay.`."""

    __slots__ = ("_devices", "_opaque", "_whiteout", "prefix")

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self._devices = prefix.startswith("user.")  # in a user namespace empty files may stand for devices
        self._opaque = prefix + "opaque"
        self._whiteout = prefix + "whiteout"

    def opacity(self, directory: Directory) -> str:
        """`y`: hides what is below; `x`: may hold whiteouts in the form of an xattr; empty: neither."""
        try:
            return os.getxattr(directory.fd, self._opaque).decode("ascii", "replace")
        except OSError as error:
            if error.errno in _NO_XATTR:
                return ""
            raise

    def node(self, name: str, st: os.stat_result, directory: Directory) -> Node:
        """The node of a file of `directory`."""
        return node_in(directory.fd, name, st) if self._devices else node_of(name, st)

    def is_whiteout(self, name: str, st: os.stat_result, directory: Directory, opacity: str) -> bool:
        """Whether a file of `directory` stands for the absence of its name."""
        if stat.S_ISCHR(st.st_mode):
            return st.st_rdev == 0
        if opacity != "x" or st.st_size or not stat.S_ISREG(st.st_mode):
            return False
        try:
            os.getxattr(f"/proc/self/fd/{directory.fd}/{name}", self._whiteout, follow_symlinks=False)
        except OSError as error:
            if error.errno in _NO_XATTR:
                return False
            raise
        return True


class TopNames:
    """The names at the top of layers that nobody changes any more, kept from one tree to the next.

    Every RUN is given a tree of its own over all layers before it; looking a path up in each of them anew would
    make the n-th RUN n times as dear. Thread-safe.
    """

    __slots__ = ("_names",)

    def __init__(self) -> None:
        self._names: dict[str, frozenset[str] | None] = {}

    def lacks(self, layer: str, name: str) -> bool:
        """Whether the layer directory surely has no file, and no whiteout, of this name at its top."""
        try:
            names = self._names[layer]
        except KeyError:
            listed = os.listdir(layer)
            names = frozenset(listed) if len(listed) <= _MAX_TOP_NAMES else None
            if len(self._names) >= _MAX_REMEMBERED:
                self._names.clear()
            self._names[layer] = names
        return names is not None and name not in names


class MergedTree:
    """A `FileTree` over layer directories, nearest first, that nobody changes meanwhile.

    Every directory is reached from its layer's root one component at a time, so that no symlink of a
    layer leads out of it. What is a directory in which layers is remembered. Thread-safe. `top_names` is what
    trees over the same layers share.
    """

    __slots__ = ("_handles", "_layers", "_opacity", "_reader", "_stacks", "_top_names")

    def __init__(
        self, layers: Sequence[str], xattr_prefix: str = "trusted.overlay.", top_names: TopNames | None = None
    ) -> None:
        self._layers = tuple(layers)
        self._top_names = (top_names or TopNames()) if len(self._layers) >= _MANY_LAYERS else None
        self._handles = DirectoryHandles(self._layers, 128)
        self._reader = LayerReader(xattr_prefix)
        # path -> the layers that have it as a directory of the merged tree, or None when it is none
        self._stacks: dict[str, tuple[int, ...] | None] = {}
        self._opacity: dict[tuple[int, str], str] = {}

    @property
    def layers(self) -> tuple[str, ...]:
        """The layer directories, nearest first."""
        return self._layers

    def lstat(self, path: str) -> Node | None:
        """See FileTree."""
        found = self._find(path)
        if found is None:
            return None
        folder, _, name = path.rpartition("/")
        if not name:
            return self._reader.node("", found[1], self._handles.get(""))
        return self._reader.node(name, found[1], self._handles.get(folder, found[0]))

    def scandir(self, path: str) -> list[Node]:
        """See FileTree."""
        stack = self._stack(path)
        if stack is None:
            raise self._no_directory(path)
        nodes: dict[str, Node | None] = {}
        for position, layer in enumerate(stack):
            directory = self._handles.get(path, layer)
            below = position > 0
            opacity = self._opacity_of(layer, path, directory)
            with os.scandir(directory.fd) as entries:
                for entry in entries:
                    name = entry.name
                    if below and name in nodes:
                        continue
                    st = entry.stat(follow_symlinks=False)
                    if (stat.S_ISCHR(st.st_mode) or opacity == "x") and self._reader.is_whiteout(
                        name, st, directory, opacity
                    ):
                        nodes[name] = None
                    else:
                        nodes[name] = self._reader.node(name, st, directory)
        return sort_nodes([node for node in nodes.values() if node is not None])

    def readlink(self, path: str) -> str:
        """See FileTree."""
        name, directory = self._locate(path)
        return os.readlink(name, dir_fd=directory.fd)

    def open(self, path: str) -> int:
        """See FileTree."""
        name, directory = self._locate(path)
        return open_file(name, directory.fd)

    def xattrs(self, path: str) -> dict[str, bytes]:
        """See FileTree."""
        if not path:
            directory = self._handles.get("")
            return layer_xattrs(f"/proc/self/fd/{directory.fd}/.", self._reader.prefix)
        name, directory = self._locate(path)
        return layer_xattrs(f"/proc/self/fd/{directory.fd}/{name}", self._reader.prefix)

    def _find(self, path: str) -> tuple[int, os.stat_result] | None:
        """The layer that has the file at `path`, and its lstat there."""
        folder, _, name = path.rpartition("/")
        if name in _DOTS:
            root = self._handles.get("")
            return None if path else (0, os.fstat(root.fd))
        for layer in self._having(folder, name, self._stack(folder) or ()):
            directory = self._handles.get(folder, layer)
            try:
                st = os.stat(name, dir_fd=directory.fd, follow_symlinks=False)
            except FileNotFoundError:
                continue
            if self._is_whiteout(name, st, layer, folder, directory):
                return None
            return layer, st
        return None

    def _locate(self, path: str) -> tuple[str, Directory]:
        found = self._find(path)
        if found is None or not path:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        folder, _, name = path.rpartition("/")
        return name, self._handles.get(folder, found[0])

    def _stack(self, path: str) -> tuple[int, ...] | None:
        """The layers whose directories make up the merged directory `path`, nearest first; None: no directory."""
        known = self._stacks.get(path, ())
        if known != ():
            return known
        # Down from the nearest ancestor that is known.
        todo: list[str] = []
        here = path
        stack: tuple[int, ...] | None = ()
        while here and stack == ():
            here, _, name = here.rpartition("/")
            todo.append(name)
            stack = self._stacks.get(here, ())
        if stack == ():
            stack = self._keep("", tuple(range(len(self._layers))))  # the kernel takes no root for opaque
        for name in reversed(todo):
            if stack is None:
                return None
            stack = None if name in _DOTS else self._child_stack(here, name, stack)
            here = join(here, name)
            self._keep(here, stack)
        return stack

    def _child_stack(self, folder: str, name: str, stack: tuple[int, ...]) -> tuple[int, ...] | None:
        found = []
        for layer in self._having(folder, name, stack):
            directory = self._handles.get(folder, layer)
            try:
                st = os.stat(name, dir_fd=directory.fd, follow_symlinks=False)
            except FileNotFoundError:
                continue
            if not stat.S_ISDIR(st.st_mode):
                break  # a whiteout or another kind of file: it hides what is below
            found.append(layer)
        return self._cut_opaque(join(folder, name), tuple(found)) if found else None

    def _having(self, folder: str, name: str, stack: tuple[int, ...]) -> Iterable[int]:
        """The layers of the stack of `folder` that may have a file of this name there."""
        top, layers = self._top_names, self._layers
        if folder or top is None:
            return stack
        return (layer for layer in stack if not top.lacks(layers[layer], name))

    def _cut_opaque(self, path: str, stack: tuple[int, ...]) -> tuple[int, ...]:
        """The stack down to its first opaque directory."""
        for position, layer in enumerate(stack):
            if self._opacity_of(layer, path, self._handles.get(path, layer)) == "y":
                return stack[: position + 1]
        return stack

    def _opacity_of(self, layer: int, path: str, directory: Directory) -> str:
        key = (layer, path)
        known = self._opacity.get(key)
        if known is None:
            known = self._reader.opacity(directory)
            if len(self._opacity) >= _MAX_REMEMBERED:
                self._opacity.clear()
            self._opacity[key] = known
        return known

    def _is_whiteout(self, name: str, st: os.stat_result, layer: int, folder: str, directory: Directory) -> bool:
        if stat.S_ISCHR(st.st_mode):
            return st.st_rdev == 0
        if st.st_size or not stat.S_ISREG(st.st_mode):
            return False
        return self._reader.is_whiteout(name, st, directory, self._opacity_of(layer, folder, directory))

    def _keep(self, path: str, stack: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if len(self._stacks) >= _MAX_REMEMBERED:
            self._stacks.clear()
        self._stacks[path] = stack
        return stack

    def _no_directory(self, path: str) -> OSError:
        if self._find(path) is None:
            return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
