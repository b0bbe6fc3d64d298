"""Brings what `origin` has into a project's own repository: all branches, all tags, the whole history."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlsplit

from pywerf.errors import GitError
from pywerf.source.git_access import GitAccess, GitCredentials
from pywerf.source.git_history import BRANCHES

if TYPE_CHECKING:
    from pygit2 import Repository
    from pygit2.remotes import Remote

__all__ = ["ORIGIN_TAGS", "fetch_origin", "has_origin", "is_shallow"]

ORIGIN_TAGS = "refs/pywerf/origin/tags/"
"""Where the tags of `origin` are kept: those of refs/tags/ are the user's, and may be others of the same name."""

_WHOLE = 0x7FFFFFFF  # git's own word for all of the history (git-fetch(1), --unshallow)


def has_origin(repo: Repository) -> bool:
    """Whether the repository has a remote called `origin`."""
    return any(remote.name == "origin" for remote in repo.remotes)


def is_shallow(repo: Repository) -> bool:
    """Whether the history ends before its beginning."""
    return repo.is_shallow


def fetch_origin(repo: Repository, *, whole: bool = True) -> None:
    """Fetch all branches and tags of `origin`, and (`whole`) what a shallow clone lacks.

    Afterwards refs/remotes/origin/ has the branches that there are, and no other ones; ORIGIN_TAGS likewise. Nothing
    else of the repository is changed. Raises GitError.
    """
    import pygit2

    remote = repo.remotes["origin"]
    url = remote.url or ""
    if url.startswith(("./", "../")):
        url = os.path.join(repo.workdir or repo.path, url)
    access = GitAccess(url, _configured(repo, url))
    try:
        anonymous = repo.remotes.create_anonymous(access.address)
        heads = {head.name or "" for head in anonymous.list_heads(callbacks=access.callbacks(), proxy=True)}
        _forget(repo, BRANCHES, {name[len("refs/heads/") :] for name in heads if name.startswith("refs/heads/")})
        _forget(repo, ORIGIN_TAGS, {name[len("refs/tags/") :] for name in heads if name.startswith("refs/tags/")})
        _fetch(
            anonymous, access, [f"+refs/heads/*:{BRANCHES}*", f"+refs/tags/*:{ORIGIN_TAGS}*"], whole and repo.is_shallow
        )
    except (pygit2.GitError, OSError, ValueError, KeyError) as error:
        _fail(access, error)


def _fetch(remote: Remote, access: GitAccess, refspecs: list[str], whole: bool) -> None:
    remote.fetch(refspecs, depth=_WHOLE if whole else 0, callbacks=access.callbacks(), proxy=True)


def _forget(repo: Repository, prefix: str, there: set[str]) -> None:
    """Delete the references that origin has not any more: `a` may have become a folder of branches `a/…`."""
    from pygit2.enums import ReferenceType

    for name in list(repo.references):
        if name.startswith(prefix) and name[len(prefix) :] not in there:
            if repo.references[name].type == ReferenceType.SYMBOLIC:
                continue  # origin/HEAD
            repo.references.delete(name)


def _configured(repo: Repository, url: str) -> GitCredentials:
    """The header that the repository's configuration has for a server (git-config(1), http.<url>.extraHeader).

    It is how CI systems hand out their tokens, as basic authorization; libgit2 does not know it.
    """
    found: dict[str, str] = {}
    for entry in repo.config:
        name = str(entry.name)
        if name.startswith("http.") and name.endswith(".extraheader"):
            found[name[len("http.") : -len(".extraheader")] if name != "http.extraheader" else ""] = str(entry.value)
    best = max((prefix for prefix in found if _covers(prefix, url)), key=len, default="")
    header, _, value = found.get(best, "").partition(":")
    given = GitCredentials(header=value.strip()) if header.strip().lower() == "authorization" else GitCredentials()
    # libgit2 would send any other header to whatever server it is sent on to, and this configuration is not ours
    return GitCredentials() if given.raw_header else given


def _covers(prefix: str, url: str) -> bool:
    """Whether the settings of `http.PREFIX.*` are meant for a URL; an empty prefix is every web server's."""
    wanted: Any = urlsplit(url)
    if wanted.scheme not in ("http", "https"):
        return False
    if not prefix:
        return True
    given = urlsplit(prefix)
    same = (given.scheme, given.hostname, given.port) == (wanted.scheme, wanted.hostname, wanted.port)
    path = given.path.rstrip("/")
    return same and (not path or wanted.path == path or bool(wanted.path.startswith(f"{path}/")))


def _fail(access: GitAccess, error: Exception) -> NoReturn:
    raise GitError(
        f"{access.failure(error).message}: branches and tags of origin are needed",
        hint="fetch them yourself (git fetch origin --prune --tags), and say so in werf.yaml: "
        "gitWorktree.allowFetchOriginBranchesAndTags: false",
    ) from error
