"""A tar archive as a tree of files, without unpacking it: a context from stdin or a web server."""

from __future__ import annotations

import os
from collections.abc import Iterator

from pywerf.backend.buildah.copy_plan import CopyPlan
from pywerf.backend.buildah.unpack import unpack_archive
from pywerf.util.filetree import Node

__all__ = ["ArchiveTree"]


class ArchiveTree:
    """A FileTree over the entries of an archive; the data of its files stands in one scratch file in `folder`."""

    def __init__(self, chunks: Iterator[bytes], folder: str) -> None:
        self._folder = folder
        self._spool = self._scratch()
        self._plan = CopyPlan(None, owner=None, mode=None, made_ns=0)
        unpack_archive(chunks, self._plan, "", self._spool)
        self._children: dict[str, list[Node]] = {"": []}
        for path, entry in self._plan.sorted():
            self._children.setdefault(path.rpartition("/")[0], []).append(entry.node)
            if entry.node.kind == "dir":
                self._children.setdefault(path, [])

    def close(self) -> None:
        """Give the scratch file back. Idempotent."""
        if self._spool >= 0:
            os.close(self._spool)
            self._spool = -1

    def lstat(self, path: str) -> Node | None:
        """See FileTree."""
        if not path:
            return Node("", "dir", 0o755, 0, 0, 0, 0)
        entry = self._plan.entries.get(path)
        return None if entry is None else entry.node

    def scandir(self, path: str) -> list[Node]:
        """See FileTree."""
        found = self._children.get(path)
        if found is None:
            raise (NotADirectoryError if path in self._plan.entries else FileNotFoundError)(path)
        return list(found)

    def readlink(self, path: str) -> str:
        """See FileTree."""
        return self._plan.entries[path].target

    def open(self, path: str) -> int:
        """See FileTree: a copy of the file's part of the scratch file (shared blocks where the disk can)."""
        entry = self._plan.entries.get(path)
        if entry is None or entry.spool is None:
            raise FileNotFoundError(path)
        _, offset = entry.spool
        left = entry.node.size
        out = self._scratch()
        while left:
            done = os.copy_file_range(self._spool, out, left, offset)
            if not done:
                break
            offset += done
            left -= done
        os.lseek(out, 0, os.SEEK_SET)
        return out

    def xattrs(self, path: str) -> dict[str, bytes]:
        """See FileTree."""
        entry = self._plan.entries.get(path)
        return dict(entry.xattrs) if entry is not None and entry.xattrs else {}

    def _scratch(self) -> int:
        return os.open(self._folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
