"""The tree without a file: what `FROM scratch` gives to those who read from it."""

from __future__ import annotations

from pywerf.util.filetree import Node

__all__ = ["EmptyTree"]


class EmptyTree:
    """A FileTree with nothing in it."""

    def lstat(self, path: str) -> Node | None:
        """Only the root is there."""
        return None if path else Node("", "dir", 0o755, 0, 0, 0, 0)

    def scandir(self, path: str) -> list[Node]:
        """The root is empty; raises FileNotFoundError for anything else."""
        if path:
            raise FileNotFoundError(path)
        return []

    def readlink(self, path: str) -> str:
        """Raises FileNotFoundError."""
        raise FileNotFoundError(path)

    def open(self, path: str) -> int:
        """Raises FileNotFoundError."""
        raise FileNotFoundError(path)

    def xattrs(self, path: str) -> dict[str, bytes]:
        """Nothing has any."""
        return {}
