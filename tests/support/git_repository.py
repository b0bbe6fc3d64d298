"""Git repositories for tests, made without a git process."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pygit2

__all__ = ["GitRepository"]


class GitRepository:
    """A repository with a work tree in a folder. Commits have fixed authors and times that rise by a second."""

    def __init__(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.repo = pygit2.init_repository(str(path), initial_head="main")
        self.time = 1_700_000_000

    def write(self, files: Mapping[str, str | bytes | None]) -> None:
        """Write files; None removes one, a text that begins with `->` makes a symlink."""
        for name, content in files.items():
            place = self.path / name
            if content is None:
                place.unlink()
                continue
            place.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, str) and content.startswith("->"):
                os.symlink(content[2:], place)
            elif isinstance(content, bytes):
                place.write_bytes(content)
            else:
                place.write_text(content)

    def commit(self, files: Mapping[str, str | bytes | None] | None = None) -> str:
        """Write files, and commit all that the work tree has and .gitignore lets through; the commit's id."""
        self.write(files or {})
        index = self.repo.index
        index.read()
        index.add_all()
        index.write()
        tree = index.write_tree()
        parents = [] if self.repo.head_is_unborn else [self.repo.head.target]
        self.time += 1
        author = pygit2.Signature("Somebody", "somebody@example.org", self.time, 120)
        return str(self.repo.create_commit("HEAD", author, author, "a commit", tree, parents))

    def add_submodule(self, other: GitRepository, path: str) -> None:
        """Put a clone of another repository in as a submodule, at its head; commit it afterwards."""
        pygit2.clone_repository(str(other.path), str(self.path / path))
        self.write({".gitmodules": f'[submodule "{path}"]\n\tpath = {path}\n\turl = {other.path}\n'})
        index = self.repo.index
        index.read()
        index.add(pygit2.IndexEntry(path, other.repo.head.target, pygit2.enums.FileMode.COMMIT))
        index.write()
