"""The merged view of the directories below an upper one, as far as a diff has to look at it."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterable

from pywerf.layer.tar_write import WHITEOUT_PREFIX
from pywerf.layer.xattrs import is_whiteout_mark, list_xattrs, marked_opaque
from pywerf.linux import owners

__all__ = ["OPAQUE_FILE", "LowerEntry", "LowerView", "is_gone", "same_content"]

OPAQUE_FILE = WHITEOUT_PREFIX * 2 + b".opq"
_MANY = 12  # names to look up from which on reading the directory is cheaper
_CHUNK = 1 << 20
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC


class LowerEntry:
    """What a name shows below: its path and lstat, and for a directory all that merge, nearest first."""

    __slots__ = ("folders", "path", "status")

    def __init__(self, path: bytes, status: os.stat_result) -> None:
        self.path = path
        self.status = status
        self.folders: list[bytes] = []


class LowerView:
    """Lower directories, nearest first. Without `opaque` marks they are plain trees: nothing in them hides anything."""

    def __init__(self, roots: Iterable[bytes], opaque: Collection[str], *, whiteout_files: bool = False) -> None:
        self.roots = [root.rstrip(b"/") + b"/" for root in roots]
        self._opaque = frozenset(opaque)
        self._whiteout_files = whiteout_files

    def entries(self, folders: list[bytes], names: Collection[bytes] | None) -> dict[bytes, LowerEntry]:
        """What `names` (None: all) show in the directory that `folders` merge to, without the hidden and the absent."""
        shown: dict[bytes, LowerEntry] = {}
        settled: set[bytes] = set()  # names about which deeper directories have nothing to say
        for folder in folders:
            here: Collection[bytes]
            removed: set[bytes] = set()
            if names is None or len(names) > _MANY or self._whiteout_files:
                listed = set(os.listdir(folder))
                if self._whiteout_files:
                    marks = {name for name in listed if name.startswith(WHITEOUT_PREFIX)}
                    listed -= marks
                    removed = {
                        name[len(WHITEOUT_PREFIX) :] for name in marks if stat.S_ISREG(os.lstat(folder + name).st_mode)
                    }
                here = listed if names is None else listed.intersection(names)
            else:
                here = names
            for name in here:
                if name not in settled and self._look(folder + name, name, shown):
                    settled.add(name)
            settled |= removed
        return shown

    def find(self, path: bytes) -> LowerEntry | None:
        """What a whole path shows."""
        folders = self.roots
        entry: LowerEntry | None = None
        for name in path.split(b"/"):
            entry = self.entries(folders, (name,)).get(name)
            if entry is None:
                return None
            folders = entry.folders
        return entry

    def is_opaque(self, folder: bytes) -> bool:
        """Whether a directory of an overlay hides the ones below it."""
        if self._whiteout_files and os.path.lexists(folder + OPAQUE_FILE):
            return True
        return bool(self._opaque) and marked_opaque(folder, self._opaque)

    def _look(self, path: bytes, name: bytes, shown: dict[bytes, LowerEntry]) -> bool:
        """Take one directory's answer about a name into account; whether it is the last word."""
        try:
            status = owners.lstat(path)
        except FileNotFoundError:
            return False
        nearer = shown.get(name)
        if stat.S_ISDIR(status.st_mode):
            if nearer is None:
                nearer = shown[name] = LowerEntry(path, status)
            nearer.folders.append(path + b"/")
            return self.is_opaque(path + b"/")
        if nearer is None and not self._hidden(path, status):
            shown[name] = LowerEntry(path, status)
        return True

    def _hidden(self, path: bytes, status: os.stat_result) -> bool:
        if is_gone(status):
            return True
        marked = self._opaque and status.st_size == 0 and stat.S_ISREG(status.st_mode)
        return bool(marked) and is_whiteout_mark(list_xattrs(path))


def is_gone(status: os.stat_result) -> bool:
    """Whether a file stands for nothing: a whiteout (character device 0/0), or a socket, which no layer holds."""
    mode = status.st_mode
    return (stat.S_ISCHR(mode) and status.st_rdev == 0) or stat.S_ISSOCK(mode)


def same_content(one: bytes, other: bytes) -> bool:
    """Whether two regular files of one size hold the same bytes."""
    first = os.open(one, _OPEN)
    try:
        second = os.open(other, _OPEN)
        try:
            while True:
                data = os.read(first, _CHUNK)
                if data != _read_full(second, len(data) or 1):
                    return False
                if not data:
                    return True
        finally:
            os.close(second)
    finally:
        os.close(first)


def _read_full(fd: int, size: int) -> bytes:
    data = os.read(fd, size)
    while len(data) < size and (more := os.read(fd, size - len(data))):
        data += more
    return data
