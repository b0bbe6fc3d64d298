"""The git repository that a project lies in: its head commit, its files, and what its work tree has beside them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec

from pywerf.errors import GitError
from pywerf.source.git_objects import GitObjects, commit_time
from pywerf.source.git_place import ChangeKind, GitPlace, find_place
from pywerf.source.git_tree import GitTree, pinned_submodules

if TYPE_CHECKING:
    from pygit2 import Repository

    from pywerf.source.git_memory import GitMemory

__all__ = ["Change", "ChangeKind", "GitProject", "find_work_tree"]

_MAX_DEPTH = 10


class Change(msgspec.Struct, frozen=True):
    """A path (in the work tree) that differs from the head commit.

    `submodule`: it is at another commit than the one recorded, is new or gone; `dirty submodule`: the commit is
    the recorded one, but there are changes in it.
    """

    path: str
    kind: ChangeKind


def find_work_tree(folder: str) -> str:
    """The nearest directory, from `folder` upwards, that has a `.git`. Raises GitError.

    Variables of git's (GIT_DIR, GIT_WORK_TREE and their kin) are not looked at: git sets them for hooks, and they
    stay set when a hook goes to another repository.
    """
    place = os.path.realpath(folder)
    while not os.path.lexists(os.path.join(place, ".git")):
        above = os.path.dirname(place)
        if above == place:
            hint = (
                "a project is built from its commits: git init && git add . && git commit; "
                "or name the work tree with --git-work-tree"
            )
            if os.environ.get("GIT_DIR"):
                hint = (
                    "GIT_DIR is not looked at: a repository that is elsewhere needs a file .git in the work tree, with "
                    f"the line `gitdir: {os.path.abspath(os.environ['GIT_DIR'])}`"
                )
            raise GitError(f"{folder} is not in a git work tree", hint=hint)
        place = above
    return place


class GitProject:
    """A project directory in a git work tree. `root` is the work tree, `subdir` the project in it ("" for all).

    With a `memory` (a directory), what the work tree looked like is remembered there: as long as it looks the same, the
    changes are known without libgit2.
    """

    def __init__(self, project_dir: str, work_tree: str = "", *, memory: str = "") -> None:
        directory = os.path.realpath(project_dir or ".")
        if not os.path.isdir(directory):
            raise GitError(f"{project_dir}: no such directory", hint="it was named with --dir")
        self.root = os.path.realpath(work_tree) if work_tree else find_work_tree(directory)
        if directory != self.root and not directory.startswith(self.root.rstrip("/") + "/"):
            raise GitError(f"the project directory {directory} lies outside of the git work tree {self.root}")
        self.subdir = "" if directory == self.root else directory[len(self.root.rstrip("/")) + 1 :]
        self.directory = directory
        self._repo: Repository | None = None
        self._index: bytes | None = None  # in the place of one that libgit2 cannot read
        self._changes: tuple[Change, ...] | None = None
        # whose repositories are trusted (safe.directory) is libgit2's to say
        self.place = find_place(self.root)
        if self.place is None or not _owned(self.root, self.place):
            self.objects = GitObjects(self.repo.path, self.repo)
        else:
            self.objects = GitObjects(self.place.common_dir)
        self._memory: GitMemory | None = None
        if memory and self.place is not None:
            from pywerf.source.git_memory import GitMemory

            self._memory = GitMemory(memory, self.root, self.place)

    def look(self) -> None:
        """Begin to look at the work tree, beside what else is to be done before `changes` is called."""
        if self._memory is not None:
            self._memory.look()

    @property
    def repo(self) -> Repository:
        """The repository as libgit2 has it, opened when it is first asked for. Raises GitError."""
        if self._repo is None:
            import pygit2

            from pywerf.source.git_plain import open_repository

            try:
                self._repo, self._index = open_repository(self.root, self.place)
            except pygit2.GitError as error:
                self._fail(error)
        return self._repo

    def _fail(self, error: Exception) -> NoReturn:
        text = str(error)
        hint = None
        if "owned by" in text:
            hint = f"git config --global --add safe.directory {self.root}"
        raise GitError(f"cannot use the git repository of {self.root}: {text}", hint=hint) from error

    # commits

    def head(self) -> str:
        """The 40 hexadecimal digits of the head commit. Raises GitError when there is none yet."""
        commit = self.place.head() if self.place is not None else None
        if commit is not None:
            return commit
        import pygit2

        try:
            return str(self.repo.head.peel(pygit2.Commit).id)
        except (pygit2.GitError, KeyError) as error:
            hint = "a project is built from its commits: git add . && git commit"
            raise GitError(f"the repository {self.root} has no commit yet", hint=hint) from error

    def tree(self, commit: str) -> GitTree:
        """The files of a commit from the root of the work tree on, with its submodules. Raises GitError."""
        return _with_submodules(self.objects, commit, self.root, 0)

    def committer(self, commit: str) -> tuple[int, int]:
        """(seconds since 1970, offset of the zone in minutes) of a commit."""
        return commit_time(self.objects.read(commit)[1])

    def parents(self, commit: str) -> tuple[str, ...]:
        """The parents of a commit, the branch that was merged into first."""
        found: Any = self.repo[commit]
        return tuple(str(parent) for parent in found.parent_ids)

    def proposed_name(self) -> str:
        """A name for the project: from the URL of `origin`, else from the directory."""
        url = ""
        for remote in self.repo.remotes:
            if remote.name == "origin":
                url = remote.url or ""
        name = url.rstrip("/").removesuffix(".git").replace(":", "/").rpartition("/")[2]
        name = name or os.path.basename(self.directory)
        cleaned = "".join(sign if sign.isascii() and sign.isalnum() else "-" for sign in name.lower())
        while "--" in cleaned:
            cleaned = cleaned.replace("--", "-")
        return cleaned.strip("-")[:50].strip("-") or "my-project"

    # the work tree

    def changes(self) -> tuple[Change, ...]:
        """All that `git status` would tell, sorted by path; looked up once. Raises GitError."""
        if self._changes is None:
            memory, head = self._memory, self.place.head() if self.place is not None else None
            known = memory.recall(head) if memory is not None and head is not None else None
            if known is not None:
                self._changes = tuple(Change(path, kind) for path, kind in known)
                return self._changes
            self._changes, ignored = self._ask()
            if memory is not None and head is not None:
                self._remember(memory, head, ignored)
        return self._changes

    def forget(self) -> None:
        """Look at the work tree anew."""
        self._changes = None

    def _ask(self) -> tuple[tuple[Change, ...], list[str]]:
        """What libgit2 says: the changes, and the files that are ignored."""
        import pygit2

        try:
            found = self.repo.status(untracked_files="all", ignored=self._memory is not None)
        except (pygit2.GitError, OSError) as error:
            self._fail(error)
        changes: dict[str, Change] = {}
        absent = self._left_out() if any(int(flags) == _DELETED for flags in found.values()) else frozenset()
        for path, flags in sorted(found.items()):
            if not int(flags) & _IGNORED and not (int(flags) == _DELETED and path in absent):
                change = self._change(path, int(flags))
                known = changes.get(change.path)
                if known is None or known.kind == "untracked":
                    changes[change.path] = change  # a submodule that is no longer one is there twice
        return tuple(changes.values()), [path for path, flags in found.items() if int(flags) & _IGNORED]

    def _left_out(self) -> frozenset[str]:
        """The files that a sparse checkout leaves out: libgit2 takes them for deleted."""
        from pywerf.source.git_index import skipped_paths

        try:
            if self._index is not None:
                return skipped_paths(self._index)
            with open(os.path.join(self.repo.path, "index"), "rb") as file:
                return skipped_paths(file.read())
        except (OSError, ValueError):
            return frozenset()

    def _remember(self, memory: GitMemory, head: str, ignored: list[str]) -> None:
        configured = [
            os.path.expanduser(value or "")
            for key in ("core.excludesfile", "core.attributesfile")
            for value in self.repo.config.get_multivar(key)
        ]
        memory.remember(
            head,
            tuple((change.path, change.kind) for change in self._changes or ()),
            ignored=ignored,
            tracked=(entry.path for entry in self.repo.index),
            inputs=[os.path.join(self.root, path) for path in configured],
        )

    def change_of(self, path: str) -> Change | None:
        """The change of one path. Raises GitError."""
        # libgit2 looks at the whole index for a single path, too: one look at all is cheaper than two at single ones
        return next((change for change in self.changes() if change.path == path), None)

    def _change(self, path: str, flags: int) -> Change:
        recorded = self._recorded_submodule(path.rstrip("/"))
        if recorded is not None:
            name = path.rstrip("/")
            there = self._submodule_head(name)
            same = there == recorded and not flags & (_INDEX_CHANGES | _DELETED)
            return Change(name, "dirty submodule" if same else "submodule")
        if flags & _INDEX_CHANGES and self._committed_submodule(path):
            return Change(path.rstrip("/"), "submodule")
        return Change(path.rstrip("/"), "untracked" if flags == _UNTRACKED else "changed")

    def _recorded_submodule(self, path: str) -> str | None:
        """The commit of a submodule as the index has it."""
        try:
            entry = self.repo.index[path]
        except KeyError:
            return None
        return str(entry.id) if int(entry.mode) == 0o160000 else None

    def _committed_submodule(self, path: str) -> bool:
        """Whether the head commit has a submodule there."""
        import pygit2

        try:
            commit: Any = self.repo.head.peel(pygit2.Commit)
            return int(commit.tree[path].filemode) == 0o160000
        except (KeyError, pygit2.GitError):
            return False

    def _submodule_head(self, path: str) -> str:
        import pygit2

        try:
            return str(pygit2.Repository(os.path.join(self.root, path)).head.target)
        except pygit2.GitError:
            return ""

    def submodule_head(self, path: str) -> str:
        """The commit that a submodule's work tree is at; "" when it is not there."""
        return self._submodule_head(path)


# GIT_STATUS_*, libgit2's status.h
_UNTRACKED = 1 << 7
_DELETED = 1 << 9
_INDEX_CHANGES = 0b11111
_IGNORED = 1 << 14


class _MissingSubmodule:
    """Stands for a submodule whose commit is not here: any look into it is an error that says so."""

    def __init__(self, path: str, commit: str) -> None:
        self.path = path
        self.commit = commit

    def fail(self) -> NoReturn:
        raise GitError(
            f"the submodule {self.path} is needed, but its commit {self.commit[:12]} is not here",
            hint=f"git submodule update --init --recursive {self.path}",
        )

    def lstat(self, path: str) -> Any:
        if not path:
            from pywerf.util.filetree import Node

            return Node(self.path.rpartition("/")[2], "dir", 0o755, 0, 0, 0, 0)
        self.fail()

    def scandir(self, path: str) -> Any:
        self.fail()

    def readlink(self, path: str) -> str:
        self.fail()

    def open(self, path: str) -> int:
        self.fail()

    def below(self, path: str) -> Any:
        self.fail()

    def content_id(self, path: str) -> bytes:
        self.fail()

    def tree_id(self, path: str) -> str:
        return self.commit


def _with_submodules(objects: GitObjects, commit: str, root: str, depth: int) -> GitTree:
    try:
        tree = GitTree(objects, commit)
    except (KeyError, ValueError) as error:
        raise GitError(f"the commit {commit[:12]} is not in the repository {root}") from error
    nested: dict[str, Any] = {}
    for path, pinned in _pinned(tree):
        whole = os.path.join(root, path)
        nested[path] = _MissingSubmodule(path, pinned)
        place = find_place(whole) if depth < _MAX_DEPTH else None
        if place is None:
            continue
        inner = GitObjects(place.common_dir)
        if pinned in inner:
            nested[path] = _with_submodules(inner, pinned, whole, depth + 1)
    return tree.with_submodules(nested) if nested else tree


def _pinned(tree: GitTree) -> Iterator[tuple[str, str]]:
    for path, commit, _ in pinned_submodules(tree):
        yield path, commit


def _owned(root: str, place: GitPlace) -> bool:
    """Whether work tree and repository are the user's own."""
    user = os.geteuid()
    return all(os.lstat(path).st_uid == user for path in (root, os.path.join(root, ".git"), place.common_dir))
