"""Removing a directory tree that somebody hostile may have filled: no symlink followed, any depth."""

from __future__ import annotations

import errno
import os

__all__ = ["remove_tree"]

_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MAX_DEPTH = 32


def remove_tree(path: str, *, dir_fd: int | None = None) -> None:
    """Remove `path`, a file or a directory with all that is in it; nothing when it is not there.

    Directories that lie deeper than a few levels are moved up to the top before they are emptied, so
    that neither descriptors nor the stack run out. Raises OSError; what was removed stays removed.
    """
    try:
        os.unlink(path, dir_fd=dir_fd)
        return
    except FileNotFoundError:
        return
    except (IsADirectoryError, PermissionError):
        pass  # unlink(2) of a directory: EISDIR, or EPERM as POSIX has it
    try:
        top = _open_directory(path, dir_fd)
    except FileNotFoundError:
        return
    except NotADirectoryError:
        os.unlink(path, dir_fd=dir_fd)  # no directory, so that the first error was a real one
        return
    try:
        _empty(top, top, 0, [0])
    finally:
        os.close(top)
    try:
        os.rmdir(path, dir_fd=dir_fd)
    except FileNotFoundError:
        pass


def _open_directory(name: str, dir_fd: int | None) -> int:
    try:
        return os.open(name, _OPEN_DIRECTORY, dir_fd=dir_fd)
    except PermissionError:
        os.chmod(name, 0o700, dir_fd=dir_fd)  # mode 000: its owner, who is not root, may still do this
        return os.open(name, _OPEN_DIRECTORY, dir_fd=dir_fd)


def _empty(directory: int, top: int, depth: int, moved: list[int]) -> None:
    """Remove all entries of `directory`. `moved` counts the directories that were moved up into `top`."""
    while True:
        with os.scandir(directory) as entries:
            listed = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
        if not listed:
            return
        try:
            for name, is_dir in listed:
                _remove_entry(name, is_dir, directory, top, depth, moved)
        except PermissionError:
            if os.fstat(directory).st_mode & 0o300 == 0o300:
                raise
            os.fchmod(directory, 0o700)
            continue
        if depth:
            return


def _remove_entry(name: str, is_dir: bool, directory: int, top: int, depth: int, moved: list[int]) -> None:
    try:
        if not is_dir:
            os.unlink(name, dir_fd=directory)
        elif depth < _MAX_DEPTH:
            child = _open_directory(name, directory)
            try:
                _empty(child, top, depth + 1, moved)
            finally:
                os.close(child)
            os.rmdir(name, dir_fd=directory)
        else:
            _move_up(name, directory, top, moved)
    except FileNotFoundError:
        pass  # another process removes the same tree


def _move_up(name: str, directory: int, top: int, moved: list[int]) -> None:
    while True:
        moved[0] += 1
        try:
            os.rename(name, f".deep-{moved[0]}", src_dir_fd=directory, dst_dir_fd=top)
            return
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                raise
