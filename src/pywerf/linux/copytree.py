"""A whole copy of a directory tree: reflinks where the file system can, hard links kept, nothing followed."""

from __future__ import annotations

import errno
import fcntl
import os
import stat

from pywerf.linux import owners
from pywerf.linux.dirtree import DirectoryHandles
from pywerf.util.filetree import join

__all__ = ["copy_attributes", "copy_file", "copy_node", "copy_tree"]

_FICLONE = 0x40049409  # ioctl_ficlone(2)
_CHUNK = 1 << 20
_NOT_HERE = frozenset(
    (errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM, errno.ETXTBSY)
)


def copy_tree(source: str, target: str) -> None:
    """Copy all that is in the directory `source`, and its own attributes, into the empty directory `target`.

    Kept: kinds, contents (holes too), owners, modes, xattrs, modification times, hard links within the
    tree, device numbers. Left out: sockets. Needs to be root, or the owner of everything, in its user
    namespace. Raises OSError; the caller removes what was copied by then.
    """
    _Copy(source, target).run()


def copy_node(source: str, name: str, folder: int) -> None:
    """Copy what is at `source`, a symlink followed, as `name` into an open folder: a file, a device, a whole folder.

    As `copy_tree`. Raises OSError, for a socket too.
    """
    st = os.stat(source)
    if stat.S_ISDIR(st.st_mode):
        os.mkdir(name, 0o700, dir_fd=folder)
        copy_tree(f"{source}/.", f"/proc/self/fd/{folder}/{name}")
        return
    if stat.S_ISREG(st.st_mode):
        fd = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
        try:
            copy_file(fd, name, folder)
        finally:
            os.close(fd)
    elif stat.S_ISSOCK(st.st_mode):
        raise OSError(errno.EOPNOTSUPP, "a socket cannot be copied")
    else:
        os.mknod(name, stat.S_IFMT(st.st_mode) | 0o600, st.st_rdev, dir_fd=folder)
    copy_attributes(st, folder, name, source, follow=True)


def copy_file(source: int, name: str, folder: int) -> None:
    """The contents of an open file as a new file; not its attributes."""
    _Contents().copy(source, name, folder)


class _Copy:
    """One copy in the making."""

    def __init__(self, source: str, target: str) -> None:
        self.source = DirectoryHandles((source,))
        self.target = DirectoryHandles((target,))
        self.links: dict[tuple[int, int], str] = {}  # (device, inode) -> where its copy is
        self.contents = _Contents()

    def run(self) -> None:
        folders = [""]
        for folder in folders:  # grows while it is walked: parents before their children
            folders.extend(self._copy_entries(folder))
        for folder in reversed(folders):  # times last: making the entries has changed them
            source = self.source.get(folder)
            target = self.target.get(folder)
            copy_attributes(os.fstat(source.fd), target.fd, ".", f"/proc/self/fd/{source.fd}/.")

    def _copy_entries(self, folder: str) -> list[str]:
        source = self.source.get(folder)
        target = self.target.get(folder)
        folders = []
        with os.scandir(source.fd) as entries:
            for entry in entries:
                name = entry.name
                st = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(st.st_mode):
                    os.mkdir(name, 0o700, dir_fd=target.fd)
                    folders.append(join(folder, name))
                    continue
                if stat.S_ISSOCK(st.st_mode) or self._link(folder, name, st, target.fd):
                    continue
                if stat.S_ISREG(st.st_mode):
                    self._copy_file(name, source.fd, target.fd)
                elif stat.S_ISLNK(st.st_mode):
                    os.symlink(os.readlink(name, dir_fd=source.fd), name, dir_fd=target.fd)
                else:
                    os.mknod(name, stat.S_IFMT(st.st_mode) | 0o600, st.st_rdev, dir_fd=target.fd)
                copy_attributes(st, target.fd, name, f"/proc/self/fd/{source.fd}/{name}")
        return folders

    def _link(self, folder: str, name: str, st: os.stat_result, target: int) -> bool:
        """Make a hard link if this is a further name of a file that has been copied."""
        if st.st_nlink < 2:
            return False
        key = (st.st_dev, st.st_ino)
        first = self.links.setdefault(key, join(folder, name))
        if first == join(folder, name):
            return False
        first_folder, _, first_name = first.rpartition("/")
        first_fd = self.target.get(first_folder)
        os.link(first_name, name, src_dir_fd=first_fd.fd, dst_dir_fd=target, follow_symlinks=False)
        return True

    def _copy_file(self, name: str, source_dir: int, target_dir: int) -> None:
        source = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=source_dir)
        try:
            self.contents.copy(source, name, target_dir)
        finally:
            os.close(source)


class _Contents:
    """Copies the contents of files; remembers what the file system cannot do."""

    def __init__(self) -> None:
        self.reflink = True
        self.copy_range = True

    def copy(self, source: int, name: str, folder: int) -> None:
        """Make a file of the contents of an open one."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        target = os.open(name, flags, 0o600, dir_fd=folder)
        try:
            size = os.fstat(source).st_size
            if size and not self._clone(source, target):
                self._copy_data(source, target, size)
        finally:
            os.close(target)

    def _clone(self, source: int, target: int) -> bool:
        if not self.reflink:
            return False
        try:
            fcntl.ioctl(target, _FICLONE, source)
        except OSError as error:
            if error.errno not in _NOT_HERE:
                raise
            self.reflink = False
            return False
        return True

    def _copy_data(self, source: int, target: int, size: int) -> None:
        """Copy the parts that hold data (lseek(2), SEEK_DATA); what lies between stays a hole."""
        start = 0
        while start < size:
            try:
                start = os.lseek(source, start, os.SEEK_DATA)
                end = os.lseek(source, start, os.SEEK_HOLE)
            except OSError as error:
                if error.errno == errno.ENXIO:
                    break  # only a hole is left
                if error.errno != errno.EINVAL:
                    raise
                end = size
            self._copy_part(source, target, start, end)
            start = end
        os.ftruncate(target, size)

    def _copy_part(self, source: int, target: int, start: int, end: int) -> None:
        while start < end:
            if self.copy_range:
                try:
                    done = os.copy_file_range(source, target, min(end - start, 1 << 30), start, start)
                except OSError as error:
                    if error.errno not in _NOT_HERE:
                        raise
                    self.copy_range = False
                    continue
            else:
                done = os.pwrite(target, os.pread(source, min(end - start, _CHUNK), start), start)
            if not done:
                break  # the file became shorter
            start += done


def copy_attributes(st: os.stat_result, folder: int, name: str, source: str, *, follow: bool = False) -> None:
    """Give a copy the attributes `st` of its source, and the xattrs of the path `source`.

    Owner first, as chown(2) clears set-id bits and capabilities; times last.
    """
    os.chown(name, st.st_uid, st.st_gid, dir_fd=folder, follow_symlinks=False)
    if not stat.S_ISLNK(st.st_mode):
        os.chmod(name, stat.S_IMODE(st.st_mode), dir_fd=folder)
    target = f"/proc/self/fd/{folder}/{name}"
    try:
        names = os.listxattr(source, follow_symlinks=follow)
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise
        names = []
    for xattr in names:
        if xattr != "security.selinux":  # the label of the new place is right there
            os.setxattr(target, xattr, os.getxattr(source, xattr, follow_symlinks=follow), follow_symlinks=False)
    os.utime(name, ns=owners.times(st, st.st_mtime_ns), dir_fd=folder, follow_symlinks=False)
