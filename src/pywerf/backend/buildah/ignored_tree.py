"""A tree without what a .dockerignore leaves out, for contexts that are no folders."""

from __future__ import annotations

from pywerf.source.dockerignore import IgnoreRules
from pywerf.util.filetree import FileTree, Node, join

__all__ = ["IgnoredTree"]


class IgnoredTree:
    """A FileTree over another one. An ignored directory stays as long as something in it is not ignored."""

    def __init__(self, tree: FileTree, rules: IgnoreRules) -> None:
        self._tree = tree
        self._rules = rules

    def lstat(self, path: str) -> Node | None:
        """See FileTree."""
        node = self._tree.lstat(path)
        return None if node is None or not self._stays(path, node) else node

    def scandir(self, path: str) -> list[Node]:
        """See FileTree."""
        return [node for node in self._tree.scandir(path) if self._stays(join(path, node.name), node)]

    def readlink(self, path: str) -> str:
        """See FileTree."""
        return self._tree.readlink(path)

    def open(self, path: str) -> int:
        """See FileTree."""
        return self._tree.open(path)

    def xattrs(self, path: str) -> dict[str, bytes]:
        """See FileTree."""
        return self._tree.xattrs(path)

    def _stays(self, path: str, node: Node) -> bool:
        if not path or not self._rules.ignored(path):
            return True
        if node.kind != "dir" or not self._rules.enters(path, self._rules.state_of(path)):
            return False
        return any(self._stays(join(path, item.name), item) for item in self._tree.scandir(path))
