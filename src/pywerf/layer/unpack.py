"""Making an archive's entries below a root directory, and nothing outside of it.

What a path's parents are is asked of the kernel with the root directory as its `/` (openat2(2)); all else happens
relative to the descriptors of those parents, creates exclusively and follows no link.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from types import TracebackType
from typing import TypeAlias

from pywerf.errors import ArchiveError
from pywerf.layer.tar_format import show
from pywerf.layer.tar_read import TarEntry, TarReader
from pywerf.layer.xattrs import list_xattrs, wanted
from pywerf.linux import owners
from pywerf.linux.devices import make_device
from pywerf.linux.openat2 import open_in_root
from pywerf.linux.removal import remove_tree

__all__ = ["OwnerMap", "Unpacker", "clean_name"]

# Whom (uid, gid) of an archive become here; None: whoever unpacks.
OwnerMap: TypeAlias = "Callable[[int, int], tuple[int, int] | None]"

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MAX_FOLDERS = 64
_DEVICES = {"char": stat.S_IFCHR, "block": stat.S_IFBLK}


def clean_name(name: bytes) -> bytes:
    """An entry's name without `.`, `..`, doubled and outer slashes; empty for the root.

    Raises ArchiveError when it leads out of the archive's root.
    """
    parts: list[bytes] = []
    for part in name.split(b"/"):
        if part == b"..":
            if not parts:
                raise ArchiveError(f"tar, entry {show(name)!r}: the name leads out of the archive's root")
            parts.pop()
        elif part not in (b"", b"."):
            parts.append(part)
    return b"/".join(parts)


class Unpacker:
    """One root directory that entries are made in. Nobody else may change it meanwhile.

    `opaque_mark` is the xattr of overlay that a directory needs which takes the place of something else;
    empty where the root is a plain tree. Errors are OSErrors and ArchiveErrors; `put` gives only the latter.
    """

    def __init__(
        self, root: str, *, owner_map: OwnerMap | None = None, skip_devices: bool = False, opaque_mark: str = ""
    ) -> None:
        self.implicit: set[bytes] = set()
        self.skipped_devices = 0
        self._owner_map = owner_map
        self._skip_devices = skip_devices
        self._opaque_mark = opaque_mark
        self._root = os.open(root, _OPEN_FOLDER & ~os.O_NOFOLLOW)
        self._folders: dict[bytes, int] = {}
        # Who owns what is made in a folder, unless told otherwise: set-group-ID and mount options decide.
        self._owners: dict[bytes, tuple[int, int]] = {}
        self._last = b""
        self._last_fd = self._root
        # What directories have at the end: what their entries say, or else what they had before.
        self._times: dict[bytes, int] = {b"": os.fstat(self._root).st_mtime_ns}
        self._umask = _umask()

    def __enter__(self) -> Unpacker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._forget()
        os.close(self._root)

    def put(self, parent: bytes, base: bytes, entry: TarEntry, reader: TarReader) -> None:
        """Make `entry` as `base` in `parent`, in place of whatever is there; directories merge."""
        kind = entry.kind
        try:
            if kind == "file":
                self._file(parent, base, entry, reader)
            elif kind == "dir":
                self._directory(parent, base, entry)
            elif not base:
                raise ArchiveError(f"tar, entry {show(entry.name)!r}: the root can only be a directory")
            elif kind == "symlink":
                self._symlink(parent, base, entry)
            elif kind == "hardlink":
                self._hard_link(parent, base, entry)
            else:
                self._device(parent, base, entry)
        except OSError as error:
            raise self.failed(entry.name, error) from error

    def finish(self) -> None:
        """Give directories their times, after everything in them has been made."""
        for path, mtime_ns in list(self._times.items()):  # looking at a parent adds it
            parent, _, base = path.rpartition(b"/")
            try:
                if not base:
                    os.utime(f"/proc/self/fd/{self._root}", ns=(mtime_ns, mtime_ns))
                    continue
                folder = self.existing(parent)
                # A later entry may have put something else in its place.
                if folder is not None and stat.S_ISDIR(os.lstat(base, dir_fd=folder).st_mode):
                    os.utime(base, ns=(mtime_ns, mtime_ns), dir_fd=folder, follow_symlinks=False)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise self.failed(path, error) from error
        self._times.clear()

    def folder(self, path: bytes) -> int:
        """A descriptor (O_PATH) of a directory, this object's own. What is missing of the path is made."""
        if path == self._last:
            return self._last_fd
        fd = self.existing(path)
        return self._make_folders(path) if fd is None else fd

    def existing(self, path: bytes) -> int | None:
        """The same for a directory that may not be there."""
        if path == self._last:
            return self._last_fd
        fd = self._folders.get(path)
        if fd is None:
            if not path:
                fd = self._root
            else:
                try:
                    fd = open_in_root(self._root, path, _FOLDER)
                except (FileNotFoundError, NotADirectoryError):
                    return None
                if path not in self._times:
                    self._times[path] = os.fstat(fd).st_mtime_ns
                return self._remember(path, fd)
        self._last, self._last_fd = path, fd
        return fd

    def clear(self, folder: int, base: bytes) -> None:
        """Remove what is called `base`. Paths may lead elsewhere from now on: only `folder` stays open."""
        self._forget(keep=folder)
        remove_tree(os.fsdecode(base), dir_fd=folder)

    def mark_opaque(self, folder: int, base: bytes) -> None:
        """Set overlay's mark on a directory, where there is one to set."""
        if self._opaque_mark:
            fd = os.open(base, _OPEN_FOLDER, dir_fd=folder)
            try:
                os.setxattr(fd, self._opaque_mark, b"y")
            finally:
                os.close(fd)

    def failed(self, name: bytes, error: OSError) -> ArchiveError:
        """What to raise for an error of the system while `name` was made."""
        hint = None
        if error.errno == errno.ENOSPC:
            hint = "free some space: werf host cleanup, or another --root"
        elif error.errno == errno.EPERM:
            hint = "owners, devices and attributes of other users need root, or a range of subordinate ids"
        elif error.errno == errno.ENOTSUP:
            hint = "the file system under the store cannot hold what the archive has (extended attributes)"
        return ArchiveError(f"tar, entry {show(name)!r}: cannot be unpacked: {error.strerror}", hint=hint)

    def _remember(self, path: bytes, fd: int) -> int:
        if len(self._folders) >= _MAX_FOLDERS:
            self._forget()
        self._folders[path] = fd
        self._last, self._last_fd = path, fd
        return fd

    def _forget(self, keep: int = -1) -> None:
        for path, fd in list(self._folders.items()):
            if fd != keep:
                os.close(fd)
                del self._folders[path]
        self._owners.clear()
        if keep == -1 or keep != self._last_fd:
            self._last, self._last_fd = b"", self._root

    def _make_folders(self, path: bytes) -> int:
        """Make what is missing of a path, as Docker does: 0755, of root; here without a time of its own."""
        done = b""
        folder = self._root
        for part in path.split(b"/"):
            done = done + b"/" + part if done else part
            there = self.existing(done)
            if there is not None:
                folder = there
                continue
            self._make_directory(folder, part, 0o755)
            os.chmod(part, 0o755, dir_fd=folder)
            self._chown(folder, part, 0, 0)
            self.implicit.add(done)
            self._times.setdefault(done, 0)
            folder = self._remember(done, os.open(part, _FOLDER | os.O_NOFOLLOW, dir_fd=folder))
        return folder

    def _make_directory(self, folder: int, base: bytes, mode: int) -> None:
        """mkdir(2) of an implicit directory; the only thing that it may replace is a whiteout of its own layer."""
        try:
            os.mkdir(base, mode, dir_fd=folder)
        except FileExistsError:
            if not (self._opaque_mark and _is_whiteout(os.lstat(base, dir_fd=folder))):
                raise NotADirectoryError(errno.ENOTDIR, f"{show(base)} is not a directory") from None
            self.clear(folder, base)
            os.mkdir(base, mode, dir_fd=folder)
            self.mark_opaque(folder, base)

    def _directory(self, parent: bytes, base: bytes, entry: TarEntry) -> None:
        path = parent + b"/" + base if parent else base
        self._times[path] = entry.mtime_ns
        if not base:
            self._set_directory(os.open(f"/proc/self/fd/{self._root}", _OPEN_FOLDER & ~os.O_NOFOLLOW), entry, old=True)
            return
        folder = self.folder(parent)
        old = False
        try:
            os.mkdir(base, 0o700, dir_fd=folder)
        except FileExistsError:
            old = stat.S_ISDIR(os.lstat(base, dir_fd=folder).st_mode)
            if not old:
                self.clear(folder, base)
                os.mkdir(base, 0o700, dir_fd=folder)
                self.mark_opaque(folder, base)  # else what was below the thing replaced would show again
        self.implicit.discard(path)
        if old:
            self._owners.clear()  # it may get or lose its set-group-ID bit
        self._set_directory(os.open(base, _OPEN_FOLDER, dir_fd=folder), entry, old=old)

    def _set_directory(self, fd: int, entry: TarEntry, *, old: bool) -> None:
        try:
            owner = self._mapped(entry.uid, entry.gid)
            if owner is not None:
                owners.set_owner(fd, *owner)
            if old:
                for name in list_xattrs(fd):
                    if wanted(name) and name not in entry.xattrs:
                        os.removexattr(fd, name)
            if entry.xattrs:
                _set_xattrs(fd, entry.xattrs)
            os.fchmod(fd, entry.mode)
        finally:
            os.close(fd)

    def _file(self, parent: bytes, base: bytes, entry: TarEntry, reader: TarReader) -> None:
        if not base:
            raise ArchiveError(f"tar, entry {show(entry.name)!r}: the root can only be a directory")
        folder = self.folder(parent)
        mode = entry.mode
        try:
            fd = os.open(base, _CREATE, mode & 0o777, dir_fd=folder)
        except FileExistsError:
            self.clear(folder, base)
            fd = os.open(base, _CREATE, mode & 0o777, dir_fd=folder)
        try:
            if entry.size:
                self._write(fd, entry, reader)
            owner = (entry.uid, entry.gid) if self._owner_map is None else self._owner_map(entry.uid, entry.gid)
            if owner is not None:
                made = self._owners.get(parent)
                if made is None:
                    status = os.fstat(fd)
                    made = self._owners[parent] = (status.st_uid, status.st_gid)
                if owner != made:
                    owners.set_owner(fd, *owner)
            if entry.xattrs:
                _set_xattrs(fd, entry.xattrs)
            # Writing and chown(2) take set-user-ID away.
            if mode & (0o7000 | self._umask):
                os.fchmod(fd, mode)
            mtime_ns = entry.mtime_ns
            os.utime(fd, ns=(mtime_ns, mtime_ns))
        finally:
            os.close(fd)

    def _write(self, fd: int, entry: TarEntry, reader: TarReader) -> None:
        if entry.segments is None:
            data = reader.small()
            if data is not None and os.write(fd, data) == len(data):
                return
            if data is not None:
                _write_at(fd, 0, data)
                return
        for offset, piece in entry.pieces():
            _write_at(fd, offset, piece)
        if entry.segments is not None:
            os.ftruncate(fd, entry.size)

    def _hard_link(self, parent: bytes, base: bytes, entry: TarEntry) -> None:
        target = clean_name(entry.link)
        target_parent, _, target_base = target.rpartition(b"/")
        if not target_base:
            raise ArchiveError(f"tar, entry {show(entry.name)!r}: a hard link to the root")
        source = self.existing(target_parent)
        try:
            if source is None:
                raise FileNotFoundError
            status = os.lstat(target_base, dir_fd=source)
        except FileNotFoundError:
            raise ArchiveError(
                f"tar, entry {show(entry.name)!r}: a hard link to {show(entry.link)!r}, which is not there"
            ) from None
        # Asking for another folder may have closed the first one.
        source = os.dup(source)
        try:
            folder = self.folder(parent)
            try:
                os.link(target_base, base, src_dir_fd=source, dst_dir_fd=folder, follow_symlinks=False)
            except FileExistsError:
                there = os.lstat(base, dir_fd=folder)
                if (there.st_dev, there.st_ino) == (status.st_dev, status.st_ino):
                    return  # it is one already; removing it might remove the file
                self.clear(folder, base)
                os.link(target_base, base, src_dir_fd=source, dst_dir_fd=folder, follow_symlinks=False)
        finally:
            os.close(source)

    def _symlink(self, parent: bytes, base: bytes, entry: TarEntry) -> None:
        folder = self.folder(parent)
        try:
            os.symlink(entry.link, base, dir_fd=folder)
        except FileExistsError:
            self.clear(folder, base)
            os.symlink(entry.link, base, dir_fd=folder)
        self._chown(folder, base, entry.uid, entry.gid)
        self._set_times(folder, base, entry.mtime_ns)

    def _device(self, parent: bytes, base: bytes, entry: TarEntry) -> None:
        folder = self.folder(parent)
        if entry.kind != "fifo" and self._skip_devices:
            self.skipped_devices += 1
            return
        mode = entry.mode & 0o777 | _DEVICES.get(entry.kind, stat.S_IFIFO)
        make = os.mknod if entry.kind == "fifo" else make_device
        try:
            make(base, mode, entry.rdev, dir_fd=folder)
        except FileExistsError:
            self.clear(folder, base)
            make(base, mode, entry.rdev, dir_fd=folder)
        self._chown(folder, base, entry.uid, entry.gid)
        os.chmod(base, entry.mode, dir_fd=folder)  # it is no link: it was made just now
        self._set_times(folder, base, entry.mtime_ns)

    def _mapped(self, uid: int, gid: int) -> tuple[int, int] | None:
        return (uid, gid) if self._owner_map is None else self._owner_map(uid, gid)

    def _chown(self, folder: int, base: bytes, uid: int, gid: int) -> None:
        owner = self._mapped(uid, gid)
        if owner is not None:
            owners.set_owner(base, *owner, dir_fd=folder)

    @staticmethod
    def _set_times(folder: int, base: bytes, mtime_ns: int) -> None:
        os.utime(base, ns=owners.times_of(base, mtime_ns, dir_fd=folder), dir_fd=folder, follow_symlinks=False)


def _set_xattrs(fd: int, xattrs: dict[str, bytes]) -> None:
    """The xattrs that a layer may hold; trusted.*, overlay's own and labels in an archive are not for us to set."""
    for name, value in xattrs.items():
        if wanted(name):
            os.setxattr(fd, name, value)


def _write_at(fd: int, offset: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, offset)
        view = view[written:]
        offset += written


def _is_whiteout(status: os.stat_result) -> bool:
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def _umask() -> int:
    """The mode bits that this process cannot create files with, asked without changing them (proc(5), Umask)."""
    try:
        with open("/proc/self/status", "rb") as status:
            for line in status:
                if line.startswith(b"Umask:"):
                    return int(line.split()[1], 8)
    except (OSError, ValueError):
        pass
    return 0o777  # unknown: every mode is set by itself
