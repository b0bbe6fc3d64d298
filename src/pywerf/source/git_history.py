"""A repository's history as a cleanup sees it: branches of `origin`, tags, and the commits behind them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from pywerf.errors import GitError

if TYPE_CHECKING:
    from pygit2 import Repository

__all__ = ["BRANCHES", "TAGS", "GitHistory", "GitReference"]

BRANCHES = "refs/remotes/origin/"
TAGS = "refs/tags/"


class GitReference(msgspec.Struct, frozen=True):
    """A branch of `origin` (its name without `origin/`) or a tag, and the commit that it leads to.

    `time` is in seconds since 1970: when a tag was made (of one that is only a name: its commit's), when a branch's
    head was committed.
    """

    kind: Literal["branch", "tag"]
    name: str
    commit: str
    time: int


class GitHistory:
    """Commits and references of a repository. `tags` is where the tags that count are kept."""

    def __init__(self, repo: Repository, tags: str = TAGS) -> None:
        self._repo = repo
        self._tags = tags

    def references(self) -> tuple[GitReference, ...]:
        """Branches of `origin`, then tags, each sorted by name. Tags of what is no commit are left out."""
        names = sorted(self._repo.references)
        found = [self._reference("branch", name, BRANCHES) for name in names if name.startswith(BRANCHES)]
        found += [self._reference("tag", name, self._tags) for name in names if name.startswith(self._tags)]
        return tuple(reference for reference in found if reference is not None)

    def walk(self, heads: Iterable[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
        """The heads and all commits behind them with their parents; a commit comes before every parent of it.

        Where a shallow clone ends, so does the walk. Raises GitError.
        """
        import pygit2
        from pygit2.enums import SortMode

        starts = [pygit2.Oid(hex=head) for head in dict.fromkeys(heads)]
        try:
            walker = self._repo.walk(None, SortMode.TOPOLOGICAL)
            for start in starts:
                walker.push(start)
            for commit in walker:
                yield str(commit.id), tuple(map(str, commit.parent_ids))
        except (pygit2.GitError, KeyError) as error:
            raise GitError(
                f"the history of {self._repo.path} cannot be read: {error}", hint="git fsck tells more"
            ) from error

    def time(self, commit: str) -> int | None:
        """When a commit was committed, in seconds since 1970; None when it is not in the repository."""
        import pygit2

        try:
            found: Any = self._repo[commit]
        except (KeyError, ValueError):
            return None
        return found.committer.time if isinstance(found, pygit2.Commit) else None

    def _reference(self, kind: Literal["branch", "tag"], name: str, prefix: str) -> GitReference | None:
        import pygit2
        from pygit2.enums import ReferenceType

        reference = self._repo.references[name]
        if reference.type == ReferenceType.SYMBOLIC:  # origin/HEAD: another name of a branch
            return None
        target: Any = self._repo.get(str(reference.target))
        try:
            commit: Any = target.peel(pygit2.Commit)
        except (pygit2.GitError, AttributeError, ValueError):  # a tag of a tree, or of what is not here
            return None
        tagger = target.tagger if isinstance(target, pygit2.Tag) else None
        time = commit.committer.time if tagger is None else tagger.time
        return GitReference(kind, name[len(prefix) :], str(commit.id), time)
