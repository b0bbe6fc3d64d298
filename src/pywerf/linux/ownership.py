"""All owners, in a container whose kernel has one id: who owns what, as it would be for root.

What a file's owner shall be is kept beside it (`linux.owners`); who a process is, is `linux.personas`' business.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
import time

from pywerf.linux import notify, owners
from pywerf.linux.devices import PRIVATE, device_of
from pywerf.linux.identity import KEEP, Identity
from pywerf.linux.personas import Personas, refused
from pywerf.linux.stat_format import pack_stat, patch_statx
from pywerf.linux.supervisor import CONTINUE
from pywerf.linux.task import AT_FDCWD, Credentials, split

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pywerf.linux.supervisor import Handler

__all__ = ["Ownership"]

CAP_CHOWN = 0
AT_SYMLINK_NOFOLLOW, AT_SYMLINK_FOLLOW, AT_EMPTY_PATH = 0x100, 0x400, 0x1000
_UTIME_NOW, _UTIME_OMIT = (1 << 30) - 1, (1 << 30) - 2
_TIMES = struct.Struct("=qqqq")
_HOW = struct.Struct("=QQQ")
_Arguments = tuple[int, ...]


class Ownership(Personas):
    """The calls about owners, and those that make files."""

    def __init__(self, listener: int, settings: dict[str, Any]) -> None:
        super().__init__(listener, settings)
        owners.emulated()  # asked now, while its file can still be read

    def handlers(self) -> dict[int, Handler]:
        """By the calls' numbers."""
        calls: dict[str, Handler] = {
            name: getattr(self, name)
            for name in (
                *("stat", "lstat", "fstat", "newfstatat", "statx"),
                *("chown", "lchown", "fchown", "fchownat", "utimensat"),
                *("open", "openat", "openat2", "creat", "mkdir", "mkdirat", "symlink", "symlinkat"),
                *("listxattr", "llistxattr", "flistxattr"),
            )
        }
        return super().handlers() | self.by_number(calls)

    # -------------------------------------------------------------- what is shown of files

    def stat(self, _ident: int, pid: int, arguments: _Arguments) -> int | None:
        return self._stat(pid, AT_FDCWD, arguments[0], arguments[1], 0)

    def lstat(self, _ident: int, pid: int, arguments: _Arguments) -> int | None:
        return self._stat(pid, AT_FDCWD, arguments[0], arguments[1], AT_SYMLINK_NOFOLLOW)

    def fstat(self, _ident: int, pid: int, arguments: _Arguments) -> int | None:
        found = _look(b"%d/fd/%d" % (pid, arguments[0] & 0xFFFFFFFF), True)
        if found is None:
            return CONTINUE
        self.tasks.memory.write(pid, arguments[1], pack_stat(self.machine, found))
        return 0

    def newfstatat(self, _ident: int, pid: int, arguments: _Arguments) -> int | None:
        return self._stat(pid, *arguments[:4])

    def _stat(self, pid: int, dirfd: int, address: int, result: int, flags: int) -> int | None:
        try:
            place, follow = self._place(pid, dirfd, address, flags)
            found = _look(place, follow)
        except OSError:
            return CONTINUE  # the kernel says what is wrong
        if found is None:
            return CONTINUE
        self.tasks.memory.write(pid, result, pack_stat(self.machine, found))
        return 0

    def statx(self, _ident: int, pid: int, arguments: _Arguments) -> int | None:
        dirfd, address, flags, mask, result = arguments[:5]
        try:
            place, follow = self._place(pid, dirfd, address, flags)
            found = _look(place, follow)
            if found is None:
                return CONTINUE
            data = notify.statx(place, 0 if follow else AT_SYMLINK_NOFOLLOW, mask & 0xFFFFFFFF)
        except OSError:
            return CONTINUE
        self.tasks.memory.write(pid, result, patch_statx(data, found))
        return 0

    def _place(self, pid: int, dirfd: int, address: int, flags: int) -> tuple[bytes, bool]:
        """A path for looking, and whether a link at its end is to be followed; that of a descriptor is."""
        path = self.tasks.memory.string(pid, address) if address else b""
        if not path and not flags & AT_EMPTY_PATH:
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        return self.tasks.place(pid, dirfd, path, follow=not path or not flags & AT_SYMLINK_NOFOLLOW)

    def listxattr(self, _ident: int, pid: int, arguments: _Arguments) -> int | None:
        """Our own marks are not shown."""
        return self._list(pid, *self._place(pid, AT_FDCWD, arguments[0], 0), arguments)

    def llistxattr(self, _ident: int, pid: int, arguments: _Arguments) -> int | None:
        return self._list(pid, *self._place(pid, AT_FDCWD, arguments[0], AT_SYMLINK_NOFOLLOW), arguments)

    def flistxattr(self, _ident: int, pid: int, arguments: _Arguments) -> int | None:
        return self._list(pid, b"%d/fd/%d" % (pid, arguments[0] & 0xFFFFFFFF), True, arguments)

    def _list(self, pid: int, place: bytes, follow: bool, arguments: _Arguments) -> int | None:
        try:
            names = os.listxattr(place, follow_symlinks=follow)
        except OSError:
            return CONTINUE
        shown = [name for name in names if not name.startswith(PRIVATE)]
        if len(shown) == len(names):
            return CONTINUE
        data = b"".join(os.fsencode(name) + b"\0" for name in shown)
        if arguments[2]:
            if arguments[2] < len(data):
                raise OSError(errno.ERANGE, os.strerror(errno.ERANGE))
            self.tasks.memory.write_all(pid, arguments[1], data)
        return len(data)

    # -------------------------------------------------------------- owners of files

    def chown(self, ident: int, pid: int, arguments: _Arguments) -> int | None:
        return self._chown(ident, pid, (AT_FDCWD, *arguments[:3], 0))

    def lchown(self, ident: int, pid: int, arguments: _Arguments) -> int | None:
        return self._chown(ident, pid, (AT_FDCWD, *arguments[:3], AT_SYMLINK_NOFOLLOW))

    def fchownat(self, ident: int, pid: int, arguments: _Arguments) -> int | None:
        return self._chown(ident, pid, arguments)

    def fchown(self, ident: int, pid: int, arguments: _Arguments) -> int | None:
        place = b"%d/fd/%d" % (pid, arguments[0] & 0xFFFFFFFF)
        uid, gid = arguments[1] & KEEP, arguments[2] & KEEP
        if uid in (0, KEEP) and gid in (0, KEEP) and self._unmarked(place, True, pid):
            return CONTINUE
        return self._give(ident, pid, os.open(place, os.O_PATH | os.O_CLOEXEC), uid, gid)

    def _chown(self, ident: int, pid: int, arguments: _Arguments) -> int | None:
        """In the order of fchownat(2)."""
        dirfd, address, uid, gid, flags = arguments[:5]
        uid, gid = uid & KEEP, gid & KEEP
        follow = not flags & AT_SYMLINK_NOFOLLOW
        try:
            path = self.tasks.memory.string(pid, address)
            if not path and not flags & AT_EMPTY_PATH:
                return CONTINUE
            root = uid in (0, KEEP) and gid in (0, KEEP)
            if root and self._unmarked(*self._place(pid, dirfd, address, flags), pid):
                return CONTINUE
            fd = self.tasks.open(pid, dirfd, path, os.O_PATH | (0 if follow else os.O_NOFOLLOW))
        except OSError:
            return CONTINUE
        return self._give(ident, pid, fd, uid, gid)

    def _unmarked(self, place: bytes, follow: bool, pid: int) -> bool:
        """Whether the kernel's own chown(2) to root is all there is to do: a file of root's, by root."""
        if not self.may(self.who(pid), CAP_CHOWN):
            return False
        status = os.stat(place, follow_symlinks=follow)
        return owners.owner_of(place, status, follow=follow) is None

    def _give(self, ident: int, pid: int, fd: int, uid: int, gid: int) -> int:
        """chown(2) of an open file, which is closed."""
        try:
            place = b"self/fd/%d" % fd
            status = os.fstat(fd)
            old = owners.owner_of(place, status, follow=True) or (status.st_uid, status.st_gid)
            new = (old[0] if uid == KEEP else uid, old[1] if gid == KEEP else gid)
            who = self.who(pid)
            if not self.may(who, CAP_CHOWN) and not (
                who.uids[3] == old[0] == new[0] and (new[1] == old[1] or who.may_own(new[1]))
            ):
                raise refused()
            self.check(ident)
            # The kernel's own part: set-user-ID bits and capabilities go, and files of the host are refused.
            os.chown(place, 0 if uid != KEEP else -1, 0 if gid != KEEP else -1)
            _mark(place, os.fstat(fd), *new)
        finally:
            os.close(fd)
        return 0

    def utimensat(self, ident: int, pid: int, arguments: _Arguments) -> int | None:
        """The access time of a symlink or fifo may be its owner: then it stays."""
        dirfd, address, times, flags = arguments[:4]
        try:
            place, follow = self._place(pid, dirfd, address, flags | (0 if address else AT_EMPTY_PATH))
            mode = os.stat(place, follow_symlinks=follow).st_mode
            if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
                return CONTINUE
            path = self.tasks.memory.string(pid, address) if address else b""
            fd = self.tasks.open(pid, dirfd, path, os.O_PATH | (0 if follow else os.O_NOFOLLOW))
        except OSError:
            return CONTINUE
        try:
            status = os.fstat(fd)
            mtime_ns = self._new_time(pid, times, status)
            if mtime_ns is None or owners.owner_of(fd, status) is None:
                return CONTINUE
            self.check(ident)
            os.utime(b"self/fd/%d" % fd, ns=(status.st_atime_ns, mtime_ns))
        finally:
            os.close(fd)
        return 0

    def _new_time(self, pid: int, times: int, status: os.stat_result) -> int | None:
        """The modification time that utimensat(2) shall set; None: neither time."""
        if times:
            _, accessed, seconds, nanoseconds = _TIMES.unpack(self.tasks.memory.read(pid, times, _TIMES.size))
            if nanoseconds == _UTIME_OMIT:
                return None if accessed == _UTIME_OMIT else status.st_mtime_ns
            if nanoseconds != _UTIME_NOW:
                return int(seconds) * 10**9 + int(nanoseconds)
        return time.time_ns()

    # -------------------------------------------------------------- new files

    def _new_owner(self, who: Identity, folder: os.stat_result, place: bytes | int) -> tuple[int, int]:
        """Whose a new file in a folder is."""
        uid, gid = who.files
        if folder.st_mode & stat.S_ISGID:
            kept = owners.owner_of(place, folder, follow=True)
            gid = kept[1] if kept is not None else folder.st_gid
        return uid, gid

    def _plain(self, who: Identity, pid: int, dirfd: int, path: bytes) -> bool:
        """Whether a new file is root's, so that the kernel may make it. Raises OSError where there is no folder."""
        if who.files != (0, 0):
            return False
        folder, _ = split(path)
        place, _ = self.tasks.place(pid, dirfd, folder or b".")
        return not os.stat(place).st_mode & stat.S_ISGID

    def make_node(self, ident: int, pid: int, dirfd: int, address: int, mode: int, number: int) -> int | None:
        """Devices as in `Nodes`; fifos, files and sockets with their owner."""
        if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
            if not self.who(pid).privileged:
                raise refused()
            return super().make_node(ident, pid, dirfd, address, mode, number)

        def make(name: bytes, folder: int) -> None:
            os.mknod(name, mode & 0xFFFFFFFF or stat.S_IFREG, dir_fd=folder)

        return self._make(ident, pid, dirfd, address, make)

    def give(self, folder: int, name: bytes, pid: int, _credentials: Credentials) -> None:
        uid, gid = self._new_owner(self.who(pid), os.fstat(folder), b"self/fd/%d" % folder)
        place = b"self/fd/%d/" % folder + name
        owners.mark(place, os.lstat(place), uid, gid)

    def _make(self, ident: int, pid: int, dirfd: int, address: int, make: Any) -> int | None:
        who = self.who(pid)
        try:
            path = self.tasks.memory.string(pid, address)
            if self._plain(who, pid, dirfd, path):
                return CONTINUE
            folder, name = self.parent(pid, dirfd, path.rstrip(b"/"))
        except OSError:
            return CONTINUE
        try:
            credentials = self.tasks.credentials(pid)
            self.check(ident)
            os.umask(credentials.umask)
            try:
                make(name, folder)
            finally:
                os.umask(0)
            self.give(folder, name, pid, credentials)
        finally:
            os.close(folder)
        return 0

    def mkdir(self, ident: int, pid: int, arguments: _Arguments) -> int | None:
        return self.mkdirat(ident, pid, (AT_FDCWD, *arguments))

    def mkdirat(self, ident: int, pid: int, arguments: _Arguments) -> int | None:
        dirfd, address, mode = arguments[:3]
        return self._make(ident, pid, dirfd, address, lambda name, folder: os.mkdir(name, mode & 0o7777, dir_fd=folder))

    def symlink(self, ident: int, pid: int, arguments: _Arguments) -> int | None:
        return self.symlinkat(ident, pid, (arguments[0], AT_FDCWD, arguments[1]))

    def symlinkat(self, ident: int, pid: int, arguments: _Arguments) -> int | None:
        target, dirfd, address = arguments[:3]

        def make(name: bytes, folder: int) -> None:
            os.symlink(self.tasks.memory.string(pid, target), name, dir_fd=folder)

        return self._make(ident, pid, dirfd, address, make)

    def creat(self, ident: int, pid: int, arguments: _Arguments) -> int | None:
        flags = os.O_CREAT | os.O_WRONLY | os.O_TRUNC
        return self._open(ident, pid, AT_FDCWD, arguments[0], flags, arguments[1])

    def open(self, ident: int, pid: int, arguments: _Arguments) -> int | None:
        return self._open(ident, pid, AT_FDCWD, *arguments[:3])

    def openat(self, ident: int, pid: int, arguments: _Arguments) -> int | None:
        return self._open(ident, pid, *arguments[:4])

    def openat2(self, ident: int, pid: int, arguments: _Arguments) -> int | None:
        """Those that make files and resolve paths as openat(2); others are the kernel's."""
        flags, mode, resolve = _HOW.unpack(self.tasks.memory.read(pid, arguments[2], _HOW.size))
        if resolve or not flags & (os.O_CREAT | os.O_TMPFILE & ~os.O_DIRECTORY):
            return CONTINUE
        return self._open(ident, pid, arguments[0], arguments[1], flags, mode)

    def _open(self, ident: int, pid: int, dirfd: int, address: int, flags: int, mode: int) -> int | None:
        """Make a file, and give the process a descriptor of it; existing files are for the kernel to open."""
        who = self.who(pid)
        flags &= 0x7FFFFFFF
        unnamed = flags & os.O_TMPFILE == os.O_TMPFILE
        try:
            path = self.tasks.memory.string(pid, address)
            if self._plain(who, pid, dirfd, path + b"/." if unnamed else path):
                return CONTINUE
            place, _ = self.tasks.place(pid, dirfd, path)
            if not unnamed and _exists(place, flags):
                return CONTINUE
            credentials = self.tasks.credentials(pid)
            self.check(ident)
            os.umask(credentials.umask)
            try:
                # Whatever somebody puts there meanwhile, this process must not wait for it.
                fd = self.tasks.open(pid, dirfd, path, flags | os.O_NONBLOCK, mode & 0o7777)
            finally:
                os.umask(0)
        except OSError:
            return CONTINUE
        try:
            status = os.fstat(fd)
            if stat.S_ISREG(status.st_mode):
                self._own(fd, status, who, place if unnamed else None)
            if not flags & os.O_NONBLOCK:
                os.set_blocking(fd, True)
            return notify.add_descriptor(self.listener, ident, fd, flags & os.O_CLOEXEC)
        finally:
            os.close(fd)

    def _own(self, fd: int, status: os.stat_result, who: Identity, folder: bytes | None) -> None:
        if folder is None:
            folder = os.readlink(b"self/fd/%d" % fd).rpartition(b"/")[0] or b"/"
        uid, gid = self._new_owner(who, os.stat(folder), folder)
        _mark(b"self/fd/%d" % fd, status, uid, gid)


def _exists(place: bytes, flags: int) -> bool:
    try:
        os.stat(place, follow_symlinks=not flags & os.O_NOFOLLOW)
    except OSError:
        return False
    return True


def _mark(place: bytes, status: os.stat_result, uid: int, gid: int) -> None:
    """Keep an owner, where the file system can: in devpts and the like it does not matter."""
    try:
        owners.mark(place, status, uid, gid, follow=True)
    except OSError as error:
        if error.errno not in (errno.ENOTSUP, errno.EOPNOTSUPP):
            raise


def _look(place: bytes, follow: bool) -> os.stat_result | None:
    """The status of a file as it has to be shown, or None where the kernel's is right."""
    status = os.stat(place, follow_symlinks=follow)
    owner = owners.owner_of(place, status, follow=follow)
    if owner is None:
        if status.st_size or not stat.S_ISREG(status.st_mode):
            return None
        device = device_of(place, follow=follow)
        if device is None:
            return None
        owner = (status.st_uid, status.st_gid)
    else:
        device = None if status.st_size or not stat.S_ISREG(status.st_mode) else device_of(place, follow=follow)
    return owners.with_owner(status, *owner, device)
