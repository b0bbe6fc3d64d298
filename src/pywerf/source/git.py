"""Git repositories as sources: fetched into bare repositories of our own, read without a checkout (libgit2).

A fetch is as shallow as the transport allows. Credentials are given only to the host that they are for, and
appear in no message.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from pywerf.errors import ContextError
from pywerf.source.git_access import GitAccess, GitCredentials
from pywerf.source.git_url import GitUrl, is_git_url, redact

if TYPE_CHECKING:
    from pygit2 import Repository
    from pygit2.remotes import Remote

    from pywerf.source.git_tree import GitTree

__all__ = ["GitCredentials", "GitRepository", "fetch_git", "mirror_path"]

_HEX = frozenset("0123456789abcdef")
_KEEP = "refs/pywerf/"  # where the fetched commits are held, so that they are offered in the next negotiation
_MAX_SUBMODULE_DEPTH = 16


def fetch_git(
    url: GitUrl,
    cache_dir: str,
    *,
    credentials: GitCredentials | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> GitTree:
    """The tree that a git URL names, fetched into `cache_dir`: with its submodules, unless the URL says not to.

    Raises ContextError: the repository, the ref or the folder is not there, or the commit is not the wanted one.
    """
    repository = GitRepository(url.remote, cache_dir, credentials=credentials, progress=progress)
    commit = repository.fetch(url.ref, checksum=url.checksum)
    tree = repository.tree(commit, submodules=url.submodules is not False)
    return tree.below(url.subdir) if url.subdir else tree


def mirror_path(remote: str, cache_dir: str) -> str:
    """Where our copy of a remote repository is, or will be."""
    name = hashlib.sha256(GitAccess(remote).address.encode()).hexdigest()[:32]
    return os.path.join(cache_dir, f"{name}.git")


class GitRepository:
    """Our bare copy of a remote repository, in a folder of `cache_dir` that is named after the remote.

    Several processes may use one `cache_dir`: fetches of one remote wait for each other.
    """

    def __init__(
        self,
        remote: str,
        cache_dir: str,
        *,
        credentials: GitCredentials | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        import pygit2

        self.remote = remote
        self.cache_dir = cache_dir
        self.access = GitAccess(remote, credentials, progress)
        self.path = mirror_path(remote, cache_dir)
        os.makedirs(cache_dir, mode=0o700, exist_ok=True)
        with self._lock():
            try:
                if not os.path.exists(os.path.join(self.path, "HEAD")):
                    pygit2.init_repository(self.path, bare=True)
                self.repo: Repository = pygit2.Repository(self.path)
                os.utime(self.path)  # when it was last used, for whoever makes room
            except (pygit2.GitError, OSError) as error:
                raise ContextError(f"cannot use the git cache {self.path}: {error}") from error

    def fetch(self, ref: str = "", *, checksum: str = "") -> str:
        """Bring the commit that `ref` names (empty: the default branch); gives its 40 hexadecimal digits.

        A full commit that is here already is not asked for again. When a name is both a branch and a tag,
        the branch is meant, as `git checkout` has it. `checksum`: the commit must begin with it.
        Raises ContextError.
        """
        with self._lock():
            commit = self._fetch(ref)
        if checksum and not commit.startswith(checksum):
            raise ContextError(
                f"{redact(self.remote)}: {ref or 'the default branch'} is commit {commit}, not {checksum}",
                hint="the ref was moved, or the checksum is of another one",
            )
        return commit

    def tree(self, commit: str, *, submodules: bool = True) -> GitTree:
        """The files of a commit that was fetched. The submodules that it pins are fetched now."""
        return self._tree(commit, submodules, 0)

    def _tree(self, commit: str, submodules: bool, depth: int) -> GitTree:
        from pywerf.source.git_objects import GitObjects
        from pywerf.source.git_tree import GitTree, pinned_submodules

        tree = GitTree(GitObjects(self.path, self.repo), commit)
        if not submodules:
            return tree
        nested: dict[str, GitTree] = {}
        for path, pinned, written in pinned_submodules(tree):
            if depth == _MAX_SUBMODULE_DEPTH:
                raise ContextError(f"{redact(self.remote)}: submodules are nested too deep at {path}")
            remote = self._submodule_remote(path, written)
            credentials = self.access.credentials
            if not credentials.host:
                credentials = msgspec.structs.replace(credentials, host=urlsplit(self.access.address).hostname or "")
            inner = GitRepository(remote, self.cache_dir, credentials=credentials, progress=self.access.progress)
            inner.fetch(pinned)
            nested[path] = inner._tree(pinned, True, depth + 1)
        return tree.with_submodules(nested)

    def _submodule_remote(self, path: str, written: str) -> str:
        """The URL of a submodule; a relative one is relative to ours (git-submodule(1))."""
        if written.startswith(("./", "../")):
            import posixpath

            if "://" in self.remote:
                scheme, _, rest = self.remote.partition("://")
                host, _, path_of_host = rest.partition("/")
                return f"{scheme}://{host}{posixpath.normpath(f'/{path_of_host}/{written}')}"
            host, _, path_of_host = self.remote.partition(":")
            return f"{host}:{posixpath.normpath(f'{path_of_host}/{written}')}"
        if not is_git_url(written) and not written.lower().startswith(("http://", "https://")):
            raise ContextError(
                f"{redact(self.remote)}: the submodule {path} has the URL {redact(written)!r}, which is not allowed",
                hint="submodules come from http, https, ssh or git servers; ?submodules=false leaves them out",
            )
        return written

    def _fetch(self, ref: str) -> str:
        import pygit2

        if _is_commit(ref) and self._has(ref):
            return ref
        callbacks = self.access.callbacks()
        try:
            self._follow_redirects(not callbacks.custom_headers())
            remote = self.repo.remotes.create_anonymous(self.access.address)
            heads = {head.name or "": head for head in remote.list_heads(callbacks=callbacks, proxy=True)}
            found = _find(ref, heads)
            if found is not None:
                name, commit = found
                if not self._has(commit):
                    kept = hashlib.sha256(name.encode()).hexdigest()[:16]
                    self._download(remote, [f"+{name}:{_KEEP}refs/{kept}"])
                return self._peel(commit)
            if _is_commit(ref):
                try:
                    self._download(remote, [f"+{ref}:{_KEEP}commits/{ref}"])
                except pygit2.GitError:
                    self._download_all(remote)
                if not self._has(ref):  # the server gives only what a ref points to: look at all that they reach
                    self._download_all(remote)
                if self._has(ref):
                    return self._peel(ref)
            elif 4 <= len(ref) < 40 and _HEX.issuperset(ref):
                self._download_all(remote)
                if ref in self.repo:
                    return self._peel(str(self.repo[ref].id))
        except (pygit2.GitError, OSError, ValueError, KeyError) as error:
            raise self.access.failure(error) from None
        raise ContextError(
            f"{redact(self.remote)}: no branch, tag or commit {ref!r}"
            if ref
            else f"{redact(self.remote)}: it is empty",
            hint="the part of the URL behind # is BRANCH_OR_TAG_OR_COMMIT[:FOLDER]" if ref else None,
        )

    def _follow_redirects(self, allowed: bool) -> None:
        """libgit2 would send a header of ours to whatever server it is sent on to."""
        config = self.repo.config
        if not allowed:
            config["http.followRedirects"] = False
        elif "http.followRedirects" in config:
            del config["http.followRedirects"]

    def _download(self, remote: Remote, refspecs: list[str]) -> None:
        import pygit2

        try:
            remote.fetch(refspecs, depth=1, callbacks=self.access.callbacks(), proxy=True)
        except pygit2.GitError as error:
            if "shallow" not in str(error).lower() and "depth" not in str(error).lower():
                raise
            remote.fetch(refspecs, callbacks=self.access.callbacks(), proxy=True)

    def _download_all(self, remote: Remote) -> None:
        for name in [name for name in self.repo.references if name.startswith(f"{_KEEP}all/")]:
            self.repo.references.delete(name)  # a branch `a` may have become a folder of branches `a/…`
        refspecs = [f"+refs/heads/*:{_KEEP}all/heads/*", f"+refs/tags/*:{_KEEP}all/tags/*"]
        # 2^31-1 is git's own word for all of the history, in a repository that was shallow too
        depth = 0x7FFFFFFF if self.repo.is_shallow else 0
        remote.fetch(refspecs, depth=depth, callbacks=self.access.callbacks(), proxy=True)

    def _has(self, commit: str) -> bool:
        return commit in self.repo

    def _peel(self, oid: str) -> str:
        """The commit that an object is, or that a tag points to."""
        import pygit2

        try:
            return str(self.repo[oid].peel(pygit2.Commit).id)
        except (pygit2.InvalidSpecError, pygit2.GitError, ValueError) as error:
            raise ContextError(f"{redact(self.remote)}: {oid} is no commit") from error

    @contextmanager
    def _lock(self) -> Iterator[None]:
        import fcntl

        fd = os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)


def _is_commit(ref: str) -> bool:
    return len(ref) == 40 and _HEX.issuperset(ref)


def _find(ref: str, heads: dict[str, Any]) -> tuple[str, str] | None:
    """(the remote's name, object) of a ref: the full name, a branch, a tag, anything else below refs/."""
    if not ref:
        head = heads.get("HEAD")
        return None if head is None else ("HEAD", str(head.oid))
    for name in (ref, f"refs/heads/{ref}", f"refs/tags/{ref}", f"refs/{ref}"):
        if name in heads and (name == "HEAD" or name.startswith("refs/")):
            peeled = heads.get(f"{name}^{{}}")
            return name, str((peeled or heads[name]).oid)
    return None
