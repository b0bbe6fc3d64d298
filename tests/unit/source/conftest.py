"""Trees in memory."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

import pytest

from pywerf.util.filetree import Node


class MemoryTree:
    """A FileTree of {path: bytes | None (a directory) | str (a symlink's target)}; counts what is opened."""

    def __init__(self, files: dict[str, bytes | str | None]) -> None:
        self.files: dict[str, bytes | str | None] = {"": None}
        for path, content in files.items():
            names = path.split("/")
            for count in range(1, len(names)):
                self.files.setdefault("/".join(names[:count]), None)
            self.files[path] = content
        self.opened: list[str] = []

    def lstat(self, path: str) -> Node | None:
        if path not in self.files:
            return None
        content = self.files[path]
        name = path.rpartition("/")[2]
        if content is None:
            return Node(name, "dir", 0o755, 0, 0, 0, 0)
        if isinstance(content, str):
            return Node(name, "symlink", 0o777, 0, 0, len(content), 0)
        return Node(name, "file", 0o644, 0, 0, len(content), 0)

    def scandir(self, path: str) -> list[Node]:
        if path not in self.files:
            raise FileNotFoundError(errno.ENOENT, "no such directory", path)
        prefix = f"{path}/" if path else ""
        inside = [at for at in self.files if at and at.startswith(prefix) and "/" not in at[len(prefix) :]]
        nodes = [node for at in inside if (node := self.lstat(at)) is not None]
        return sorted(nodes, key=lambda node: os.fsencode(node.name))

    def readlink(self, path: str) -> str:
        target = self.files[path]
        assert isinstance(target, str)
        return target

    def open(self, path: str) -> int:
        content = self.files[path]
        assert isinstance(content, bytes)
        self.opened.append(path)
        fd = os.memfd_create("content")
        os.write(fd, content)
        os.lseek(fd, 0, os.SEEK_SET)
        return fd

    def xattrs(self, path: str) -> dict[str, bytes]:
        return {}


@pytest.fixture
def memory_tree() -> Callable[[dict[str, bytes | str | None]], MemoryTree]:
    """Makes a tree in memory."""
    return MemoryTree
