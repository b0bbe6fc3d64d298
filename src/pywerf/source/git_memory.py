"""Remembers what a work tree looked like when `git status` was asked, and what the answer was.

As long as everything that the answer depends on looks the same (the names in each directory, lstat(2) of each file that
git does not ignore, the index, the head commit, git's configuration), the answer is the same. So a build in a work tree
that nobody touched needs one lstat a file, and neither libgit2 nor the index. What differs is never judged here: then
libgit2 is asked again.

A file that changes within the clock's granularity looks the same (git's "racy" files): nothing is remembered until all
that was looked at is older than `SETTLED_NS`.
"""

from __future__ import annotations

import os
import stat
import struct
import time
from collections.abc import Callable, Iterable, Sequence

import msgspec

from pywerf.source.git_looking import DIRECTORY, MANY, OF_DIRECTORY, OF_GIT, STAT, Folder, Lookers, fields
from pywerf.source.git_place import ChangeKind, GitPlace, find_place

__all__ = ["SETTLED_NS", "GitMemory"]

SETTLED_NS = 2_000_000_000
"""What is younger may still change without a sign of it: the coarsest clock of a usual file system has 2 seconds."""

VERSION = 2

Answer = tuple[tuple[str, ChangeKind], ...]


class _Unsettled(Exception):
    """Something is too young to be remembered, or cannot be looked at."""


class _Memory(msgspec.Struct, array_like=True, frozen=True):
    version: int
    root: bytes
    inputs: list[tuple[bytes, str]]
    folders: list[Folder]
    changes: Answer


class GitMemory:
    """The memory of one work tree, in a file in `directory`. `home` is the user's, for git's configuration there."""

    def __init__(
        self,
        directory: str,
        root: str,
        place: GitPlace,
        *,
        home: str = "~",
        now: Callable[[], int] = time.time_ns,
        many: int = MANY,
    ) -> None:
        self._root = root
        self._place = place
        self._home = os.path.expanduser(home)
        self._now = now
        self._many = many
        self._began = 0
        self._memory: _Memory | None = None
        self._lookers: Lookers | None = None
        # not a digest: loading hashlib would put the look off; whose memory it is, is written in it
        self.path = os.path.join(directory, os.fsencode(root)[-100:].hex())

    def look(self) -> None:
        """Begin to compare. Large work trees are looked at by processes of their own, until `recall` asks for it."""
        self._began = self._now()
        try:
            with open(self.path, "rb") as file:
                memory = msgspec.msgpack.decode(file.read(), type=_Memory)
        except (OSError, msgspec.DecodeError, msgspec.ValidationError):
            return
        known = {path for path, _ in memory.inputs}
        if memory.version != VERSION or memory.root != os.fsencode(self._root):
            return
        if not all(os.fsencode(path) in known for path in self._inputs(self._place)):
            return  # another HOME
        self._memory = memory
        self._lookers = Lookers(os.fsencode(self._root), memory.folders, many=self._many)

    def recall(self, head: str) -> Answer | None:
        """What git said of the work tree as it looks now; None when that is not known."""
        if not self._began:
            self.look()
        memory, lookers = self._memory, self._lookers
        if memory is None or lookers is None:
            return None
        self._lookers = None
        if not lookers.same():
            return None
        try:
            for path, identity in memory.inputs:
                if self._identity(os.fsdecode(path), head) != identity:
                    return None
        except (OSError, _Unsettled):
            return None
        return memory.changes

    def remember(
        self, head: str, changes: Answer, *, ignored: Iterable[str], tracked: Iterable[str], inputs: Sequence[str]
    ) -> None:
        """Keep what git said after `recall` did not know it. Paths are relative to the work tree.

        `ignored` are git's ignored files (directories with a slash at the end); `inputs` further files that git read.
        """
        below = {path[: path.rindex("/") + 1] for path in tracked if "/" in path}
        below |= {above for path in list(below) for above in _above(path)}
        settled = self._began - SETTLED_NS
        try:
            walk = _Walk(self._root, frozenset(ignored) - below, settled)
            paths = [*self._inputs(self._place), *inputs]
            for repository in walk.repositories:
                place = find_place(os.path.join(self._root, repository))
                if place is None:
                    raise _Unsettled
                paths += [f"head:{repository}", *self._inputs(place)]
            known = [(os.fsencode(path), self._identity(path, head, settled)) for path in dict.fromkeys(paths)]
            known.append((b"head:", head))
            memory = _Memory(VERSION, os.fsencode(self._root), known, walk.folders, changes)
            _write(self.path, msgspec.msgpack.encode(memory))
        except (OSError, struct.error, _Unsettled):
            return

    def _inputs(self, place: GitPlace) -> list[str]:
        """The files besides the work tree that a repository's status depends on."""
        config = os.environ.get("XDG_CONFIG_HOME") or os.path.join(self._home, ".config")
        return [
            os.path.join(place.git_dir, "index"),
            os.path.join(place.git_dir, "config.worktree"),
            os.path.join(place.common_dir, "config"),
            os.path.join(place.common_dir, "info/exclude"),
            os.path.join(place.common_dir, "info/attributes"),
            os.path.join(self._home, ".gitconfig"),
            *(os.path.join(config, "git", name) for name in ("config", "ignore", "attributes")),
            "/etc/gitconfig",
            "/etc/gitattributes",
        ]

    def _identity(self, path: str, head: str, settled: int | None = None) -> str:
        """What a file looks like; for `head:PATH` the head commit of the repository there."""
        if path.startswith("head:"):
            if path == "head:":
                return head
            place = find_place(os.path.join(self._root, path[5:]))
            found = place.head() if place is not None else None
            if found is None:
                raise _Unsettled
            return found
        try:
            status = os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            return ""
        if settled is not None:
            if max(status.st_mtime_ns, status.st_ctime_ns) >= settled:
                raise _Unsettled
            if path.endswith(("config", "config.worktree")) and _includes(path):
                raise _Unsettled  # further files, that are not looked at
        return " ".join(map(str, fields(status)))


class _Walk:
    """Looks at all that is in a work tree. Raises _Unsettled, OSError."""

    def __init__(self, root: str, ignored: frozenset[str], settled: int) -> None:
        self._ignored = ignored
        self._settled = settled
        self.folders: list[Folder] = []
        self.repositories: list[str] = []
        """Directories with a repository of their own: submodules, mostly."""
        top = os.open(root, DIRECTORY)
        try:
            todo = [""]
            while todo:
                todo.extend(self._look(top, todo.pop()))
        finally:
            os.close(top)

    def _look(self, top: int, folder: str) -> list[str]:
        """Note what is in a directory; gives the directories in it that are to be looked at."""
        fd = os.open(folder or ".", DIRECTORY, dir_fd=top)
        try:
            own = os.fstat(fd)
            self._check(own)
            names = os.listdir(fd)
            prefix = f"{folder}/" if folder else ""
            others: list[tuple[bytes, str]] = []
            stats: list[bytes] = []
            inner: list[str] = []
            for name in names:
                if name == ".git":
                    others.append((b".git", OF_GIT))
                    if folder:
                        self.repositories.append(folder)
                    continue
                status = os.stat(name, dir_fd=fd, follow_symlinks=False)
                path = prefix + name
                folder_too = path + "/" in self._ignored and stat.S_ISDIR(status.st_mode)
                if (folder_too or path in self._ignored) and name not in (".gitignore", ".gitattributes"):
                    others.append((os.fsencode(name), str(stat.S_IFMT(status.st_mode))))
                    continue
                if stat.S_ISDIR(status.st_mode):
                    others.append((os.fsencode(name), OF_DIRECTORY))
                    inner.append(path)
                    continue
                self._check(status)
                stats.append(STAT.pack(*fields(status)))
        finally:
            os.close(fd)
        listed = os.fsencode("\0".join(names))
        seen = STAT.pack(*fields(own))
        self.folders.append(Folder(os.fsencode(folder), seen, listed, others, b"".join(stats)))
        return inner

    def _check(self, status: os.stat_result) -> None:
        if max(status.st_mtime_ns, status.st_ctime_ns) >= self._settled:
            raise _Unsettled


def _above(path: str) -> Iterable[str]:
    """The directories above `a/b/c/`: `a/b/`, `a/`."""
    while (end := path.rfind("/", 0, -1)) >= 0:
        path = path[: end + 1]
        yield path


def _includes(path: str) -> bool:
    with open(path, "rb") as file:
        return b"[include" in file.read().lower()


def _write(path: str, data: bytes) -> None:
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    name = f"{path}.{os.getpid()}"
    try:
        with open(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(data)
        os.replace(name, path)
    except OSError:
        try:
            os.unlink(name)
        except OSError:
            pass
        raise
