"""`--dev`: the work tree as it is, as a commit on a branch of its own; the user's branch, index, files stay."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from pywerf.errors import GitError
from pywerf.source.git_project import Change, GitProject

if TYPE_CHECKING:
    from pygit2 import Oid, Repository

__all__ = ["DEV_BRANCH", "dev_commit"]

DEV_BRANCH = "_werf-dev"

_AUTHOR = ("pywerf", "pywerf@localhost")
_GITLINK = 0o160000


def dev_commit(
    project: GitProject, *, branch: str = DEV_BRANCH, ignored: Callable[[str], bool] | None = None
) -> tuple[str, tuple[str, ...]]:
    """The commit on `branch` that has the work tree's state, and warnings about what it cannot have.

    Tracked changes and untracked files are in it, but not what .gitignore or `ignored` (of a path in the project
    directory) excludes. Idempotent: the same state is the same commit. When the head moved since, it is merged with
    the strategy "ours" first. Raises GitError.
    """
    import pygit2

    repo, head = project.repo, project.head()
    changes = [change for change in project.changes() if not _is_ignored(project, change.path, ignored)]
    reference = f"refs/heads/{branch}"
    try:
        current = None if repo.head_is_unborn or repo.head_is_detached else repo.head.name
        if current == reference:
            raise GitError(f"the branch {branch} is checked out, but --dev needs it", hint="git switch another branch")
        tree, warnings = _snapshot(project, head, changes)
        tip = _tip(repo, reference)
        parent = head if tip is None else tip
        if tip is not None and head != tip and not repo.descendant_of(tip, head):
            author = _signature()
            ours: Any = repo[tip]
            message = f"Merge {head[:12]} into {branch}"
            parent = str(repo.create_commit(reference, author, author, message, ours.tree.id, [tip, head]))
        elif tip is not None and str(_tree_of(repo, tip)) == str(tree):
            return tip, warnings
        author = _signature()
        commit = repo.create_commit(reference, author, author, "The work tree of a build", tree, [parent])
    except (pygit2.GitError, OSError, KeyError) as error:
        raise GitError(f"cannot make the commit of --dev on branch {branch}: {error}") from error
    return str(commit), warnings


def _snapshot(project: GitProject, head: str, changes: Sequence[Change]) -> tuple[Oid, tuple[str, ...]]:
    """The tree of the head commit with the changes of the work tree."""
    import pygit2

    repo = project.repo
    index = pygit2.Index()
    commit: Any = repo[head]
    index.read_tree(commit.tree)
    warnings: list[str] = []
    for change in changes:
        path = change.path
        if change.kind in ("submodule", "dirty submodule"):
            commit = project.submodule_head(path)
            if change.kind == "dirty submodule":
                warnings.append(f"the submodule {path} has changes that are not committed in it: they are left out")
            _remove(index, path)
            if commit:
                index.add(pygit2.IndexEntry(path, pygit2.Oid(hex=commit), pygit2.enums.FileMode(_GITLINK)))
            continue
        place = os.path.join(project.root, path)
        try:
            mode = os.lstat(place).st_mode
        except (FileNotFoundError, NotADirectoryError):
            _remove(index, path)
            continue
        if stat.S_ISLNK(mode):
            blob, kind = repo.create_blob(os.fsencode(os.readlink(place))), pygit2.enums.FileMode.LINK
        elif stat.S_ISREG(mode):
            executable = bool(mode & 0o100)
            kind = pygit2.enums.FileMode.BLOB_EXECUTABLE if executable else pygit2.enums.FileMode.BLOB
            blob = repo.create_blob_fromworkdir(path)
        else:
            if stat.S_ISDIR(mode) and os.path.lexists(os.path.join(place, ".git")):
                warnings.append(f"{path} is a repository of its own and no submodule: it is left out")
            _remove(index, path)
            continue
        index.add(pygit2.IndexEntry(path, blob, kind))
    return index.write_tree(repo), tuple(warnings)


def _remove(index: Any, path: str) -> None:
    try:
        index.remove(path)
    except (KeyError, OSError):
        pass  # it was not in the head commit


def _is_ignored(project: GitProject, path: str, ignored: Callable[[str], bool] | None) -> bool:
    if ignored is None:
        return False
    inside = path.removeprefix(f"{project.subdir}/") if project.subdir else path
    return ignored(inside)


def _tip(repo: Repository, reference: str) -> str | None:
    found = repo.references.get(reference)
    return None if found is None else str(found.target)


def _tree_of(repo: Repository, commit: str) -> Any:
    found: Any = repo[commit]
    return found.tree.id


def _signature() -> Any:
    import pygit2

    return pygit2.Signature(*_AUTHOR)
