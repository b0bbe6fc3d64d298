"""A build context out of a commit: what .dockerignore leaves of it, with permitted files of the work tree."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from pywerf.source.dockerignore import IgnoreRules
from pywerf.util.filetree import FileTree, Node, join

if TYPE_CHECKING:
    from pywerf.source.git_tree import GitTree
    from pywerf.source.local import LocalTree

__all__ = ["CommitContext", "lfs_pointers"]

_LFS = b"version https://git-lfs.github.com/spec/"
_LFS_SIZES = range(100, 400)
_CHUNK = 1 << 20


class CommitContext:
    """The directory `tree` of a commit as a FileTree.

    `rules` leave files out, but not `kept` (the Dockerfile). `added` are paths, files or directories, that come from
    `work_tree` instead, whatever the rules say. File digests are the ids of git's blobs; of added files a sha256.
    """

    __slots__ = ("_added", "_kept", "_parents", "_revision", "_rules", "_tree", "_work_tree")

    def __init__(
        self,
        tree: GitTree,
        rules: IgnoreRules | None = None,
        *,
        kept: str = "",
        added: Sequence[str] = (),
        work_tree: LocalTree | None = None,
    ) -> None:
        self._tree = tree
        self._rules = rules
        self._kept = kept
        self._added = tuple(sorted(set(added)))
        self._work_tree = work_tree
        self._parents: Mapping[str, frozenset[str]] = _parents_of(self._added)
        self._revision = ""

    @property
    def revision(self) -> str:
        """A name of the content: the git tree, what is left out of it, the added files."""
        if not self._revision:
            parts = ["git context 1", self._tree.tree_id, self._kept]
            if self._rules is not None:
                parts.extend(("!" if each.negated else "") + each.text for each in self._rules.matcher.patterns)
            state = hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape"))
            for path in self._added:
                for below, node in self._added_files(path):
                    line = f"\0{below}\0{node.kind}\0{node.mode:o}\0"
                    state.update(line.encode("utf-8", "surrogateescape"))
                    if node.kind == "file":
                        state.update(self.content_id(below))
                    elif node.kind == "symlink":
                        state.update(os.fsencode(self.readlink(below)))
            self._revision = state.hexdigest()
        return self._revision

    # FileTree

    def lstat(self, path: str) -> Node | None:
        """See FileTree."""
        local = self._local(path)
        if local is not None:
            return local.lstat(path)
        node = self._tree.lstat(path)
        if path in self._parents:
            return node if node is not None and node.kind == "dir" else _folder(path)
        return None if node is None or not self._stays(path, node) else node

    def scandir(self, path: str) -> list[Node]:
        """See FileTree."""
        local = self._local(path)
        if local is not None:
            return local.scandir(path)
        extra = self._parents.get(path, frozenset())
        node = self._tree.lstat(path) if extra and path else None
        nodes = [] if extra and path and (node is None or node.kind != "dir") else self._tree.scandir(path)
        found = {item.name: item for item in nodes if self._stays(join(path, item.name), item)}
        for name in extra:
            other = self.lstat(join(path, name))
            if other is not None:
                found[name] = other
        return [found[name] for name in sorted(found, key=os.fsencode)] if extra else list(found.values())

    def readlink(self, path: str) -> str:
        """See FileTree."""
        return (self._local(path) or self._tree).readlink(path)

    def open(self, path: str) -> int:
        """See FileTree."""
        return (self._local(path) or self._tree).open(path)

    def xattrs(self, path: str) -> dict[str, bytes]:
        """See FileTree: git knows none, and those of this machine's files are not meant."""
        return {}

    def content_id(self, path: str) -> bytes:
        """See ContentAddressed."""
        local = self._local(path)
        if local is None:
            return self._tree.content_id(path)
        state = hashlib.sha256()
        with open(local.open(path), "rb") as file:
            while chunk := file.read(_CHUNK):
                state.update(chunk)
        return b"sha256 " + state.digest()

    def _local(self, path: str) -> LocalTree | None:
        """The work tree, for a path that comes from there."""
        for added in self._added:
            if path == added or path.startswith(added + "/"):
                return self._work_tree
        return None

    def _added_files(self, path: str) -> Iterator[tuple[str, Node]]:
        node = self.lstat(path)
        if node is not None:
            yield path, node
            if node.kind == "dir":
                for item in self.scandir(path):
                    yield from self._added_files(join(path, item.name))

    def _stays(self, path: str, node: Node) -> bool:
        rules = self._rules
        if rules is None or not path or path == self._kept or path in self._parents or not rules.ignored(path):
            return True
        if node.kind != "dir":
            return False
        if self._kept.startswith(path + "/"):
            return True
        if not rules.enters(path, rules.state_of(path)):
            return False
        return any(self._stays(join(path, item.name), item) for item in self._tree.scandir(path))


def _parents_of(paths: Sequence[str]) -> dict[str, frozenset[str]]:
    """The directories above the paths, each with the names in it that lead to one of them."""
    found: dict[str, set[str]] = {}
    for path in paths:
        while path:
            above, _, name = path.rpartition("/")
            found.setdefault(above, set()).add(name)
            path = above
    return {path: frozenset(names) for path, names in found.items()}


def _folder(path: str) -> Node:
    return Node(path.rpartition("/")[2], "dir", 0o755, 0, 0, 0, 0)


def lfs_pointers(tree: FileTree) -> list[str]:
    """The files of a tree that are Git LFS pointers instead of what they stand for."""
    found: list[str] = []
    stack = [""]
    while stack:
        folder = stack.pop()
        for node in tree.scandir(folder):
            path = join(folder, node.name)
            if node.kind == "dir":
                stack.append(path)
            elif node.kind == "file" and node.size in _LFS_SIZES:
                with open(tree.open(path), "rb") as file:
                    if file.read(len(_LFS)) == _LFS:
                        found.append(path)
    return sorted(found)
