"""Files of ours outside of any store: caches in the home directory, and temporary files that were left over."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from pywerf.registry.docker_config import COPY_PREFIX

if TYPE_CHECKING:
    from pywerf.build.limits import VolumeLimit

__all__ = ["RemovedFiles", "purge_home", "remove_temporary", "shrink_cache"]

_LATELY = 3 * 3600.0  # seconds: what was used since then stays
_TEMPORARY_AGE = 6 * 3600.0
_TEMPORARY = (COPY_PREFIX, "werf-ci-env-", "pywerf-bundle-")
_CACHES = ("local_cache", "git-status")
_MIRRORS = "git-mirrors"
# Of the home directory also belong to others: locks that are held, and the database of a lock server.


class RemovedFiles(msgspec.Struct, frozen=True):
    """How many files (directories count as one) and bytes went, or would go."""

    count: int = 0
    bytes: int = 0


def shrink_cache(home: str, limit: VolumeLimit, *, dry_run: bool = False) -> RemovedFiles:
    """Where the volume of the home directory is fuller than allowed: the caches' entries that were used longest ago go,

    until it is the margin below that. What was used within three hours stays.
    """
    if not os.path.isdir(home) or not limit.over(home):
        return RemovedFiles()
    excess = limit.excess(home)
    latest = time.time() - _LATELY
    entries = [(facts.st_mtime, path, _size(facts)) for path, facts in _files(home)]
    entries += [(facts.st_mtime, path, _size_of(path)) for path, facts in _mirrors(home)]
    count = size = 0
    for used, path, taken in sorted(entries):
        if size >= excess or used > latest:
            break
        if dry_run or (_remove_mirror(path) if path.endswith(".git") else _unlink(path)):
            count += 1
            size += taken
    return RemovedFiles(count, size)


def remove_temporary(folder: str, *, dry_run: bool = False, age: float = _TEMPORARY_AGE) -> RemovedFiles:
    """Remove our temporary files and directories in a folder for such, those of this user that are so old.

    A job that runs has its copy of docker's configuration there.
    """
    count = size = 0
    latest = time.time() - age
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return RemovedFiles()
    for entry in entries:
        if not entry.name.startswith(_TEMPORARY):
            continue
        try:
            facts = entry.stat(follow_symlinks=False)
        except OSError:
            continue
        if facts.st_uid != os.geteuid() or facts.st_mtime > latest:
            continue
        taken = _size_of(entry.path)
        if dry_run or _remove(entry.path):
            count += 1
            size += taken
    return RemovedFiles(count, size)


def purge_home(home: str, *, dry_run: bool = False) -> RemovedFiles:
    """Remove all caches in the home directory."""
    count = size = 0
    removals = [(os.path.join(home, name), _remove) for name in _CACHES]
    removals += [(path, _remove_mirror) for path, _ in _mirrors(home)]
    for path, remove in removals:
        if os.path.lexists(path):
            taken = _size_of(path)
            if dry_run or remove(path):
                count += 1
                size += taken
    return RemovedFiles(count, size)


def _files(home: str) -> Iterator[tuple[str, os.stat_result]]:
    for name in _CACHES:
        for folder, _, files in os.walk(os.path.join(home, name)):
            for file in files:
                path = os.path.join(folder, file)
                try:
                    yield path, os.lstat(path)
                except OSError:
                    continue  # somebody else was faster


def _mirrors(home: str) -> Iterator[tuple[str, os.stat_result]]:
    """The copies of git repositories, each a directory whose time tells when it was last used."""
    try:
        entries = list(os.scandir(os.path.join(home, _MIRRORS)))
    except OSError:
        return
    for entry in entries:
        if entry.name.endswith(".git") and entry.is_dir(follow_symlinks=False):
            yield entry.path, entry.stat(follow_symlinks=False)


def _remove_mirror(path: str) -> bool:
    """Remove a copy of a git repository, unless somebody fetches into it now (source/git.py has the lock)."""
    import fcntl

    try:
        fd = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return _remove(path)
    except OSError:
        return False
    finally:
        os.close(fd)


def _size(facts: os.stat_result) -> int:
    return facts.st_blocks * 512


def _size_of(path: str) -> int:
    total = 0
    for folder, _, files in os.walk(path):
        for name in files:
            try:
                total += _size(os.lstat(os.path.join(folder, name)))
            except OSError:
                continue
    try:
        return total + _size(os.lstat(path))
    except OSError:
        return total


def _unlink(path: str) -> bool:
    try:
        os.unlink(path)
    except OSError:
        return False
    return True


def _remove(path: str) -> bool:
    """Remove a file or a tree; links are not followed."""
    import shutil

    try:
        if stat.S_ISDIR(os.lstat(path).st_mode):
            shutil.rmtree(path)
        else:
            os.unlink(path)
    except OSError:
        return False
    return True
