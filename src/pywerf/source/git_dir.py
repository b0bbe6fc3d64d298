"""A git tree with its repository in `.git`, as a checkout has it: `ADD --keep-git-dir`, `?keep-git-dir=true`."""

from __future__ import annotations

import os
from typing import Any

from pywerf.source.git_tree import GitTree
from pywerf.source.local import LocalTree
from pywerf.util.filetree import Node

__all__ = ["WithGitDir"]

_NAME = ".git"


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
    found: Any = tree.repo[tree.commit]
    _copy_object(tree.repo, repo, found.id)
    todo = [found.tree.id]
    seen = set()
    while todo:
        oid = todo.pop()
        if oid in seen:
            continue
        seen.add(oid)
        _copy_object(tree.repo, repo, oid)
        entries: Any = tree.repo[oid]
        if entries.type_str == "tree":
            todo.extend(entry.id for entry in entries if entry.type_str != "commit")  # commits are submodules
    git = os.path.join(folder, _NAME)
    # The commit itself is asked: in a repository that is shallow already it seems to have no parents.
    if b"\nparent " in tree.repo.odb.read(found.id)[1].partition(b"\n\n")[0]:
        _write(os.path.join(git, "shallow"), tree.commit)
    _write(os.path.join(git, "HEAD"), tree.commit)
    repo.index.read_tree(found.tree.id)
    repo.index.write()
    return git


def _copy_object(source: Any, target: Any, oid: Any) -> None:
    kind, data = source.odb.read(oid)
    target.odb.write(kind, data)


def _write(path: str, commit: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(f"{commit}\n")
