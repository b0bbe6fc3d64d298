"""A git tree with its repository in `.git`, as a checkout has it: `ADD --keep-git-dir`, `?keep-git-dir=true`."""

from __future__ import annotations

import os
from typing import Any

from pywerf.source.git_objects import GitObjects, commit_tree, tree_entries
from pywerf.source.git_tree import GitTree
from pywerf.source.local import LocalTree
from pywerf.util.filetree import Node

__all__ = ["WithGitDir"]

_NAME = ".git"
_SUBMODULE = 0o160000
_KINDS = {"commit": 1, "tree": 2, "blob": 3, "tag": 4}  # libgit2's types.h


class WithGitDir:
    """The FileTree of a commit with a repository in `.git` that has this commit alone, checked out.

    The repository is made in `work_dir`; `url` becomes its remote `origin` (without passwords: it is in the image).
    """

    def __init__(self, tree: GitTree, work_dir: str, url: str) -> None:
        self._tree = tree
        self._git = LocalTree(_make(tree, os.path.join(work_dir, "keep-git-dir"), url))

    def lstat(self, path: str) -> Node | None:
        """See FileTree."""
        if path == _NAME:
            return Node(_NAME, "dir", 0o755, 0, 0, 0, self._time())
        if path.startswith(f"{_NAME}/"):
            return self._git.lstat(path[len(_NAME) + 1 :])
        return self._tree.lstat(path)

    def scandir(self, path: str) -> list[Node]:
        """See FileTree."""
        if path == _NAME or path.startswith(f"{_NAME}/"):
            return self._git.scandir(path[len(_NAME) + 1 :])
        nodes = self._tree.scandir(path)
        if not path:
            node = self.lstat(_NAME)
            assert node is not None
            nodes = sorted([node, *nodes], key=lambda item: os.fsencode(item.name))
        return nodes

    def readlink(self, path: str) -> str:
        """See FileTree."""
        return self._tree.readlink(path)

    def open(self, path: str) -> int:
        """See FileTree."""
        if path.startswith(f"{_NAME}/"):
            return self._git.open(path[len(_NAME) + 1 :])
        return self._tree.open(path)

    def xattrs(self, path: str) -> dict[str, bytes]:
        """See FileTree."""
        return {}

    def _time(self) -> int:
        nodes = self._tree.scandir("")
        return nodes[0].mtime_ns if nodes else 0


def _make(tree: GitTree, folder: str, url: str) -> str:
    """A repository with the commit of `tree` and nothing older (as a clone of depth 1); the path of its git folder."""
    import pygit2

    repo = pygit2.init_repository(folder)
    repo.remotes.create("origin", url)
    _, root = _copy(tree.objects, repo, tree.commit)
    todo = [commit_tree(root)]
    seen = set()
    while todo:
        oid = todo.pop()
        if oid in seen:
            continue
        seen.add(oid)
        kind, data = _copy(tree.objects, repo, oid)
        if kind == "tree":
            todo.extend(entry for mode, entry in tree_entries(data).values() if mode != _SUBMODULE)
    git = os.path.join(folder, _NAME)
    # The commit itself is asked: in a repository that is shallow already it seems to have no parents.
    if b"\nparent " in root.partition(b"\n\n")[0]:
        _write(os.path.join(git, "shallow"), tree.commit)
    _write(os.path.join(git, "HEAD"), tree.commit)
    repo.index.read_tree(pygit2.Oid(hex=commit_tree(root)))
    repo.index.write()
    return git


def _copy(source: GitObjects, target: Any, oid: str) -> tuple[str, bytes]:
    """Copy one object; gives its kind and content."""
    kind, data = source.read(oid)
    target.odb.write(_KINDS[kind], data)
    return kind, data


def _write(path: str, commit: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(f"{commit}\n")
