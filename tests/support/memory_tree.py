"""A FileTree in memory, made of a dict: what the tests of COPY and RUN look at."""

from __future__ import annotations

import os
from collections.abc import Mapping

from pywerf.util.filetree import Node

__all__ = ["MemoryTree", "directory", "link"]


class directory:  # reads as a value: {"app": directory(0o700)}
    """A directory with its mode and owner; directories that only hold something need not be named."""

    def __init__(self, mode: int = 0o755, uid: int = 0, gid: int = 0) -> None:
        self.mode, self.uid, self.gid = mode, uid, gid


class link:
    """A symlink."""

    def __init__(self, target: str) -> None:
        self.target = target


class MemoryTree:
    """`files` maps paths to bytes or text (a file 0644 of `owner`), `directory(…)` or `link(…)`."""

    def __init__(
        self,
        files: Mapping[str, bytes | str | directory | link],
        *,
        owner: tuple[int, int] = (0, 0),
        modes: Mapping[str, int] | None = None,
    ) -> None:
        self._nodes: dict[str, Node] = {"": Node("", "dir", 0o755, 0, 0, 0, 0)}
        self._data: dict[str, bytes] = {}
        self._targets: dict[str, str] = {}
        self.opened: list[str] = []
        for path, value in files.items():
            parts = path.split("/")
            for depth in range(1, len(parts)):
                folder = "/".join(parts[:depth])
                self._nodes.setdefault(folder, Node(parts[depth - 1], "dir", 0o755, *owner, 0, 0))
            name = parts[-1]
            mode = (modes or {}).get(path, 0o644)
            if isinstance(value, directory):
                self._nodes[path] = Node(name, "dir", value.mode, value.uid, value.gid, 0, 0)
            elif isinstance(value, link):
                self._nodes[path] = Node(name, "symlink", 0o777, *owner, 0, 0)
                self._targets[path] = value.target
            else:
                data = value.encode() if isinstance(value, str) else value
                self._nodes[path] = Node(name, "file", mode, *owner, len(data), 0)
                self._data[path] = data

    def lstat(self, path: str) -> Node | None:
        return self._nodes.get(path)

    def scandir(self, path: str) -> list[Node]:
        node = self._nodes.get(path)
        if node is None:
            raise FileNotFoundError(path)
        if node.kind != "dir":
            raise NotADirectoryError(path)
        prefix = f"{path}/" if path else ""
        found = [
            node
            for other, node in self._nodes.items()
            if other and other.startswith(prefix) and "/" not in other[len(prefix) :]
        ]
        return sorted(found, key=lambda item: os.fsencode(item.name))

    def readlink(self, path: str) -> str:
        return self._targets[path]

    def open(self, path: str) -> int:
        self.opened.append(path)
        fd = os.memfd_create("memory-tree", os.MFD_CLOEXEC)
        os.write(fd, self._data[path])
        os.lseek(fd, 0, os.SEEK_SET)
        return fd

    def xattrs(self, path: str) -> dict[str, bytes]:
        return {}
