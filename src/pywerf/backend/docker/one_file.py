"""A tree of one file in memory: a Dockerfile that is offered apart from the context, or nothing at all."""

from __future__ import annotations

import os
from zlib import crc32

from pywerf.util.filetree import Node

__all__ = ["OneFile"]


class OneFile:
    """A FileTree with `data` under `name` in its root; an empty name: an empty tree."""

    def __init__(self, name: str, data: bytes) -> None:
        self._name = name
        self._data = data

    def lstat(self, path: str) -> Node | None:
        """FileTree."""
        if not self._name or path != self._name:
            return None
        # the time says whether the content is another one: receivers compare sizes and times
        return Node(self._name, "file", 0o644, 0, 0, len(self._data), crc32(self._data) * 1_000_000_000)

    def scandir(self, path: str) -> list[Node]:
        """FileTree."""
        if path:
            raise FileNotFoundError(path)
        node = self.lstat(self._name)
        return [] if node is None else [node]

    def readlink(self, path: str) -> str:
        """FileTree."""
        raise FileNotFoundError(path)

    def open(self, path: str) -> int:
        """FileTree."""
        import tempfile

        if self.lstat(path) is None:
            raise FileNotFoundError(path)
        with tempfile.TemporaryFile() as file:
            file.write(self._data)
            file.seek(0)
            return os.dup(file.fileno())

    def xattrs(self, path: str) -> dict[str, bytes]:
        """FileTree."""
        return {}
