"""What was changed in a copy, done to the original, too: how a cache or a volume is written to without a mount.

Only what differs from the copy as it was made is touched, so that two who work on copies of one folder at a time both
leave their files in it; of one file the last has it. A file is replaced as a whole and at once.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from pywerf.linux.copytree import copy_attributes, copy_file
from pywerf.linux.dirtree import Directory, DirectoryHandles
from pywerf.linux.removal import remove_tree
from pywerf.util.filetree import join

__all__ = ["CopyBack"]

_Mark = tuple[int, ...]


def _mark(st: os.stat_result) -> _Mark:
    """Changes with every change: a write sets both times, all else the second one."""
    return (st.st_mode, st.st_uid, st.st_gid, st.st_size, st.st_mtime_ns, st.st_ctime_ns, st.st_ino, st.st_dev)


class CopyBack:
    """Made when the copy is: `name` in the open folder `above` is the copy of `original`, a file or a folder."""

    def __init__(self, original: str, above: int, name: str) -> None:
        self._original = original
        self._above = above
        self._name = name
        st = os.lstat(name, dir_fd=above)
        self._is_folder = stat.S_ISDIR(st.st_mode)
        self._before = {"": _mark(st)}
        if self._is_folder:
            self._before |= {path: _mark(st) for path, st in _walk(self._copy())}

    def _copy(self) -> DirectoryHandles:
        return DirectoryHandles((f"/proc/self/fd/{self._above}/{self._name}",))

    def run(self) -> None:
        """Bring the changes to the original. Whatever the command has made of the copy, nothing else is touched.

        Raises OSError.
        """
        try:
            st = os.lstat(self._name, dir_fd=self._above)
        except FileNotFoundError:
            return  # a mount could not have been removed either
        if stat.S_ISDIR(st.st_mode) and self._is_folder:
            self._run_folder()
        elif stat.S_ISREG(st.st_mode) and not self._is_folder and _mark(st) != self._before[""]:
            self._run_file(st)

    def _run_file(self, st: os.stat_result) -> None:
        """In place: others may have the file bound, or opened."""
        source = os.open(self._name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._above)
        try:
            target = os.open(self._original, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
            try:
                while data := os.read(source, 1 << 20):
                    os.write(target, data)
                os.fchown(target, st.st_uid, st.st_gid)
                os.fchmod(target, stat.S_IMODE(st.st_mode))
            finally:
                os.close(target)
        finally:
            os.close(source)

    def _run_folder(self) -> None:
        copy, original = self._copy(), DirectoryHandles((f"{self._original}/.",))
        folders = []
        seen = {""}
        links: dict[tuple[int, int], str] = {}
        for path, st in _walk(copy):
            seen.add(path)
            if _mark(st) == self._before.get(path):
                continue
            folder, _, name = path.rpartition("/")
            if stat.S_ISDIR(st.st_mode):
                folders.append(path)
                target = original.get(folder)
                if not _is_folder(name, target.fd):
                    remove_tree(name, dir_fd=target.fd)
                    os.mkdir(name, 0o700, dir_fd=target.fd)
            elif not stat.S_ISSOCK(st.st_mode):
                self._replace(copy.get(folder), original, path, st, links)
        for path in self._before:
            if path not in seen:
                folder, _, name = path.rpartition("/")
                try:
                    parent = original.get(folder)
                    remove_tree(name, dir_fd=parent.fd)
                except (FileNotFoundError, NotADirectoryError):
                    continue  # its folder went before, or is something else now
        if _mark(os.lstat(self._name, dir_fd=self._above)) != self._before[""]:
            folders.insert(0, "")
        for path in reversed(folders):
            source, target = copy.get(path), original.get(path)
            copy_attributes(os.fstat(source.fd), target.fd, ".", f"/proc/self/fd/{source.fd}/.")

    @staticmethod
    def _replace(
        source: Directory, original: DirectoryHandles, path: str, st: os.stat_result, links: dict[tuple[int, int], str]
    ) -> None:
        """Put a new or changed file in its place in the original."""
        folder, _, name = path.rpartition("/")
        target = original.get(folder)
        new = f".new-{os.urandom(8).hex()}"
        first = links.setdefault((st.st_dev, st.st_ino), path)
        if first != path:
            first_folder, _, first_name = first.rpartition("/")
            first_dir = original.get(first_folder)
            os.link(first_name, new, src_dir_fd=first_dir.fd, dst_dir_fd=target.fd, follow_symlinks=False)
        elif stat.S_ISREG(st.st_mode):
            fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=source.fd)
            try:
                copy_file(fd, new, target.fd)
            finally:
                os.close(fd)
        elif stat.S_ISLNK(st.st_mode):
            os.symlink(os.readlink(name, dir_fd=source.fd), new, dir_fd=target.fd)
        else:
            os.mknod(new, stat.S_IFMT(st.st_mode) | 0o600, st.st_rdev, dir_fd=target.fd)
        if first == path:
            copy_attributes(st, target.fd, new, f"/proc/self/fd/{source.fd}/{name}")
        if _is_folder(name, target.fd):
            remove_tree(name, dir_fd=target.fd)
        os.rename(new, name, src_dir_fd=target.fd, dst_dir_fd=target.fd)


def _is_folder(name: str, folder: int) -> bool:
    try:
        return stat.S_ISDIR(os.lstat(name, dir_fd=folder).st_mode)
    except FileNotFoundError:
        return False


def _walk(handles: DirectoryHandles) -> Iterator[tuple[str, os.stat_result]]:
    """All that is below the handles' root, folders before what is in them."""
    folders = [""]
    for folder in folders:  # grows while it is walked
        with os.scandir(handles.get(folder).fd) as entries:
            for entry in entries:
                path = join(folder, entry.name)
                st = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(st.st_mode):
                    folders.append(path)
                yield path, st
