"""Compares a work tree with what is remembered of it: one lstat(2) a file, by several processes when there are many."""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Callable, Sequence
from functools import partial
from operator import attrgetter

import msgspec

__all__ = ["DIRECTORY", "MANY", "OF_DIRECTORY", "OF_GIT", "STAT", "Folder", "Lookers", "fields"]

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
STAT = struct.Struct("<QQQQI")
fields = attrgetter("st_mtime_ns", "st_ctime_ns", "st_size", "st_ino", "st_mode")
OF_DIRECTORY, OF_GIT = "d", "g"

MANY = 2000
"""From so many files on, other processes look; fewer files are looked at in the time that a fork takes."""

MOST = 4
"""More processes at once gain nothing, since the kernel has its own locks."""


PIECES = 64
"""So many pieces for all of them together; each costs next to nothing."""


class Folder(msgspec.Struct, array_like=True, frozen=True):
    """A directory: its own lstat; all names in it, joined by NUL; those that have no lstat in `stats`, with the reason.

    The reason is `d` (a directory with an entry of its own), `g` (a .git), or the type of an ignored file.
    """

    path: bytes
    own: bytes
    names: bytes
    others: list[tuple[bytes, str]]
    stats: bytes


class Lookers:
    """The comparison of `folders` below `root`, which begins at once when there are many files.

    They are shared out in pieces, so that all processes end at the same time; the last one to take some is this one.
    """

    def __init__(self, root: bytes, folders: Sequence[Folder], *, many: int = MANY) -> None:
        self._root = root
        self._folders = folders
        self._children: list[int] = []
        self._left = -1  # a pipe with a byte for each piece that nobody has taken yet
        if sum(len(folder.stats) for folder in folders) >= many * STAT.size and _alone():
            self._left, end = os.pipe2(os.O_CLOEXEC)
            os.write(end, bytes(range(PIECES)))
            os.close(end)
            self._children = [self._fork() for _ in range(min(MOST, len(os.sched_getaffinity(0))))]

    def same(self) -> bool:
        """Whether all looks as it is remembered. To be called once."""
        if not self._children:
            return _same(self._root, self._folders)
        same = self._look()
        return self._end() and same

    def __del__(self) -> None:
        self._end()  # nobody wants to know any more: something else was wrong

    def _end(self) -> bool:
        """Take what is left, and wait for all, whatever the first one says: whether they have ended well."""
        children, self._children = self._children, []
        if children:
            os.read(self._left, PIECES)
            os.close(self._left)
        ended = [_ended_well(child) for child in children]
        return all(ended)

    def _fork(self) -> int:
        child = os.fork()
        if child:
            return child
        status = 1
        try:
            status = 0 if self._look(moving=True) else 1
        finally:
            os._exit(status)

    def _look(self, *, moving: bool = False) -> bool:
        """Take pieces as long as there are some."""
        while piece := os.read(self._left, 1):
            if not _same(self._root, self._folders[piece[0] :: PIECES], moving=moving):
                return False
        return True


def _same(root: bytes, folders: Sequence[Folder], *, moving: bool = False) -> bool:
    """Whether the directories look as they are remembered. `moving`: the current directory may change (faster)."""
    try:
        top = os.open(root, DIRECTORY)
        try:
            return all(_same_folder(top, folder, moving) for folder in folders)
        finally:
            os.close(top)
    except (OSError, struct.error):
        return False


def _same_folder(top: int, folder: Folder, moving: bool) -> bool:
    fd = os.open(folder.path or b".", DIRECTORY, dir_fd=top)
    try:
        look: Callable[[str], os.stat_result] = partial(os.stat, dir_fd=fd, follow_symlinks=False)
        if moving:
            os.fchdir(fd)
            look = os.lstat
        names = os.fsdecode(folder.names).split("\0") if folder.names else []
        # whatever comes, goes or gets another name changes the time of its directory
        if STAT.pack(*fields(os.fstat(fd))) != folder.own and sorted(os.listdir(fd)) != sorted(names):
            return False
        if folder.others:
            others = {os.fsdecode(name): reason for name, reason in folder.others}
            names = [name for name in names if name not in others]
            for name, reason in others.items():
                # a directory is opened later, without following a link
                if reason not in (OF_DIRECTORY, OF_GIT) and str(stat.S_IFMT(look(name).st_mode)) != reason:
                    return False
        # what runs for each file has to be lean
        return list(map(fields, map(look, names))) == list(STAT.iter_unpack(folder.stats))
    finally:
        os.close(fd)


def _alone() -> bool:
    """Whether this process has one thread: one with several should not fork."""
    return len(os.listdir("/proc/self/task")) == 1


def _ended_well(child: int) -> bool:
    try:
        return os.waitpid(child, 0)[1] == 0
    except ChildProcessError:
        return False
