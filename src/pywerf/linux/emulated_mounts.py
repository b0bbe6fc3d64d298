"""Files in the places of mounts, where nothing can be mounted: put in before a container starts, taken out after it.

What is at a place is moved aside, into a folder beside the root file system, and comes back untouched; so do the
times of the folders. Nothing here is done while a container runs, so that nobody can put something else in the way;
every path is walked by descriptors that cannot leave the root file system (`linux.rootfs.Root`).
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from contextlib import ExitStack

from pywerf.linux.copy_back import CopyBack
from pywerf.linux.copytree import copy_node
from pywerf.linux.removal import remove_tree
from pywerf.linux.rootfs import Root
from pywerf.linux.stand_ins import NAMES, make_stand_in

__all__ = ["EmulatedMounts", "Make", "device", "empty_folder", "file_of", "folder_of", "symlink_to"]

Make = Callable[[int, str], None]  # makes the new thing: (open folder, name)


class _Place:
    """Where something stands in for a mount: the folder's descriptor, the name in it, the real path."""

    __slots__ = ("above", "copy_back", "here", "name")

    def __init__(self, above: int, here: str) -> None:
        self.above = above
        self.here = here
        self.name = here.rpartition("/")[2]
        self.copy_back: CopyBack | None = None


class _TrackingRoot(Root):
    """A root that does not remember as made what it made in the place of a mount: that goes with the place."""

    def __init__(self, path: str, places: list[_Place]) -> None:
        super().__init__(path)
        self._places = places

    def _make(self, above: int, name: str, path: str, kind: str) -> int:
        known = len(self.created)
        fd = super()._make(above, name, path, kind)
        if any(path.startswith(f"{place.here}/") for place in self._places):
            del self.created[known:]
        return fd


class EmulatedMounts:
    """All of one container. `root` is the directory that it is chrooted to.

    After an error of one of the methods, `take_out` brings the root back to what it was.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        folder, _, name = root.rpartition("/")
        self._aside = f"{folder}/.aside-{name}"  # the collector of the store knows names of this form
        self._places: list[_Place] = []
        self._root = _TrackingRoot(root, self._places)
        remove_tree(self._aside)
        os.mkdir(self._aside, 0o700)
        self._aside_fd = os.open(self._aside, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    @property
    def created(self) -> tuple[str, ...]:
        """The paths that had to be made as places: they do not belong into the layer while they are empty."""
        return tuple(self._root.created)

    def put(self, target: str, kind: str, make: Make, *, follow: bool = True) -> None:
        """Put what `make` makes at `target`; `kind` is "folder" or "file". Raises OSError."""
        self._put(target, kind, make, follow)

    def copy_in(self, source: str, target: str, *, keep: bool) -> None:
        """A copy of what is at `source`; with `keep`, what is changed in it is changed there by `take_out`.

        A socket is the very one, by a hard link. Raises OSError.
        """
        mode = os.stat(source).st_mode
        if stat.S_ISSOCK(mode):
            self._put(target, "file", lambda folder, name: _link_socket(source, folder, name), True)
            return
        kind = "folder" if stat.S_ISDIR(mode) else "file"
        place = self._put(target, kind, lambda folder, name: copy_node(source, name, folder), True)
        if keep and (kind == "folder" or stat.S_ISREG(mode)):
            place.copy_back = CopyBack(source, place.above, place.name)

    def _put(self, target: str, kind: str, make: Make, follow: bool) -> _Place:
        above, here = self._root.locate(target, kind, follow)
        place = _Place(above, here)
        before = os.stat(above)
        os.rename(place.name, str(len(self._places)), src_dir_fd=above, dst_dir_fd=self._aside_fd)
        self._places.append(place)
        make(above, place.name)
        _set_times(above, before)
        return place

    def take_out(self, *, keep: bool) -> None:
        """Take everything out, the last first; with `keep`, after having copied back what is to be kept.

        What cannot be copied back stops nothing else: the first error is raised at the end. Raises OSError.
        """
        errors: list[OSError] = []
        while self._places:
            place = self._places.pop()
            try:
                before = os.stat(place.above)
                if keep and place.copy_back is not None:
                    try:
                        place.copy_back.run()
                    except OSError as error:
                        errors.append(error)
                remove_tree(place.name, dir_fd=place.above)
                self._put_back(place, str(len(self._places)))
                _set_times(place.above, before)
            except OSError as error:
                errors.append(error)
            finally:
                os.close(place.above)
        os.close(self._root.fd)
        os.close(self._aside_fd)
        remove_tree(self._aside)
        if errors:
            raise errors[0]

    def _put_back(self, place: _Place, aside: str) -> None:
        try:
            os.rename(aside, place.name, src_dir_fd=self._aside_fd, dst_dir_fd=place.above)
        except FileNotFoundError:
            if os.stat(place.above).st_nlink:
                raise
            # The command has removed the folder, and with it what was in this place.


def _set_times(folder: int, before: os.stat_result) -> None:
    os.utime(f"/proc/self/fd/{folder}", ns=(before.st_atime_ns, before.st_mtime_ns))


def _link_socket(source: str, folder: int, name: str) -> None:
    try:
        os.link(source, name, dst_dir_fd=folder, follow_symlinks=True)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        raise OSError(
            errno.EXDEV, "a socket can only be had from the file system of the store where nothing can be mounted"
        ) from error


# ---------------------------------------------------------------- what is made in the places


def empty_folder(mode: int) -> Make:
    """A folder of that mode, root's."""

    def make(folder: int, name: str) -> None:
        os.mkdir(name, mode, dir_fd=folder)
        os.chmod(name, mode, dir_fd=folder)

    return make


def file_of(content: bytes, mode: int, owner: tuple[int, int] = (0, 0)) -> Make:
    """A file with that content."""

    def make(folder: int, name: str) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(name, flags, 0o600, dir_fd=folder)
        try:
            view = memoryview(content)
            while view:
                view = view[os.write(fd, view) :]
            os.fchown(fd, *owner)
            os.fchmod(fd, mode)
        finally:
            os.close(fd)

    return make


def folder_of(entries: dict[str, Make], mode: int) -> Make:
    """A folder with entries."""

    def make(folder: int, name: str) -> None:
        with ExitStack() as stack:
            os.mkdir(name, 0o700, dir_fd=folder)
            fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
            stack.callback(os.close, fd)
            for entry, make_entry in entries.items():
                make_entry(fd, entry)
            os.fchmod(fd, mode)

    return make


def symlink_to(target: str) -> Make:
    """A symlink."""
    return lambda folder, name: os.symlink(target, name, dir_fd=folder)


def device(major: int, minor: int) -> Make:
    """A character device that everybody may use, or what stands for it where it may not be made, if anything."""

    def make(folder: int, name: str) -> None:
        try:
            os.mknod(name, stat.S_IFCHR | 0o666, os.makedev(major, minor), dir_fd=folder)
        except PermissionError:
            if name in NAMES:
                make_stand_in(name, folder)
            return
        os.chmod(name, 0o666, dir_fd=folder)

    return make
