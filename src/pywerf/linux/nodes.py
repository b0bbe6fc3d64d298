"""mknod(2) of devices in a container whose kernel refuses it. Needs CAP_MKNOD of the process that calls, as ever.

What stands for a device is made instead (see `linux.devices`); or the device, where this process is the machine's root,
and the user namespace the container's own: nobody can open it there.
"""

from __future__ import annotations

import errno
import os
import stat

from pywerf.linux import notify
from pywerf.linux import syscalls as sys
from pywerf.linux.devices import make_device
from pywerf.linux.supervisor import CONTINUE
from pywerf.linux.syscall_numbers import numbers
from pywerf.linux.task import AT_FDCWD, Credentials, Tasks, split

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pywerf.linux.supervisor import Handler

__all__ = ["Nodes", "decode_device"]

CAP_MKNOD = 27
_FOLDER = os.O_PATH | os.O_DIRECTORY


def decode_device(number: int) -> tuple[int, int]:
    """(major, minor) of mknod(2)'s argument, which is 32 bits wide."""
    return number >> 8 & 0xFFF, number & 0xFF | number >> 12 & 0xFFF00


def _mount_of(fd: int) -> bytes:
    """The number of the mount that a descriptor is in (proc_pid_fdinfo(5)); the working folder is a proc."""
    with open(b"self/fdinfo/%d" % fd, "rb", buffering=0) as file:
        lines = dict(line.split(b":", 1) for line in file.read(1 << 12).splitlines() if b":" in line)
    return lines[b"mnt_id"].strip()


def _is_mapped(mount: bytes) -> bool:
    """Whether the owners of a mount are mapped, as those of the machine's folders are (proc_pid_mountinfo(5))."""
    with open(b"self/mountinfo", "rb") as file:
        for line in file:
            fields = line.split(b" ")
            if fields[0] == mount:
                return b"idmapped" in fields[5].split(b",")
    return True  # none of the container's


class Nodes:
    """The calls that make nodes."""

    def __init__(self, listener: int, settings: dict[str, Any]) -> None:
        self.listener = listener
        self.machine = settings["machine"]
        self.tasks = Tasks(roots_differ=settings["privileged"])
        self.real = settings["real_devices"]
        if self.real:
            # The owner of what is made is the one of the process that asks (setfsuid), and capabilities stay.
            sys.prctl(sys.PR_SET_SECUREBITS, sys.SECBIT_NO_SETUID_FIXUP)

    def handlers(self) -> dict[int, Handler]:
        """By the calls' numbers."""
        return self.by_number({"mknod": self.mknod, "mknodat": self.mknodat, "chroot": self.chroot})

    def by_number(self, handlers: dict[str, Handler]) -> dict[int, Handler]:
        """The same by the machine's numbers; it need not have every call."""
        table = numbers(self.machine)
        return {table[name]: handler for name, handler in handlers.items() if name in table}

    def chroot(self, _ident: int, _pid: int, _arguments: tuple[int, ...]) -> int | None:
        """From now on absolute paths are looked at more closely."""
        self.tasks.roots_differ = True
        return CONTINUE

    def mknod(self, ident: int, pid: int, arguments: tuple[int, ...]) -> int | None:
        """mknod(2)."""
        return self.make_node(ident, pid, AT_FDCWD, *arguments[:3])

    def mknodat(self, ident: int, pid: int, arguments: tuple[int, ...]) -> int | None:
        """mknodat(2)."""
        return self.make_node(ident, pid, *arguments[:4])

    def make_node(self, ident: int, pid: int, dirfd: int, address: int, mode: int, number: int) -> int | None:
        """Make a device where the process asks for one, with the owner and the umask that it has."""
        mode &= 0xFFFFFFFF
        device = decode_device(number & 0xFFFFFFFF)
        if not (stat.S_ISCHR(mode) or stat.S_ISBLK(mode)) or (stat.S_ISCHR(mode) and device == (0, 0)):
            return CONTINUE  # overlay's whiteout is no device
        credentials = self.tasks.credentials(pid)
        if not credentials.effective >> CAP_MKNOD & 1:
            return CONTINUE
        folder, name = self.parent(pid, dirfd, self.tasks.memory.string(pid, address))
        try:
            self.check(ident)
            if self.real:
                return self.make_real(folder, name, mode, device, credentials)
            os.umask(credentials.umask)
            try:
                make_device(name, mode, os.makedev(*device), dir_fd=folder)
            finally:
                os.umask(0)
            self.give(folder, name, pid, credentials)
        finally:
            os.close(folder)
        return 0

    def make_real(
        self, folder: int, name: bytes, mode: int, device: tuple[int, int], credentials: Credentials
    ) -> int | None:
        """The device itself. In a folder of the machine's, which is not the container's, the kernel shall refuse it."""
        root = os.open("/", _FOLDER | os.O_CLOEXEC)
        try:
            mount = _mount_of(folder)
            if mount != _mount_of(root) and _is_mapped(mount):
                return CONTINUE
        finally:
            os.close(root)
        sys.setfsgid(credentials.gid)
        sys.setfsuid(credentials.uid)
        os.umask(credentials.umask)
        try:
            os.mknod(name, mode, os.makedev(*device), dir_fd=folder)
        finally:
            os.umask(0)
            sys.setfsuid(0)
            sys.setfsgid(0)
        return 0

    def give(self, folder: int, name: bytes, _pid: int, credentials: Credentials) -> None:
        """The new node's owner: of the process, or of a set-group-ID folder."""
        status = os.fstat(folder)
        gid = status.st_gid if status.st_mode & stat.S_ISGID else credentials.gid
        if (credentials.uid, gid) != (0, 0):
            os.chown(name, credentials.uid, gid, dir_fd=folder, follow_symlinks=False)

    def parent(self, pid: int, dirfd: int, path: bytes) -> tuple[int, bytes]:
        """The open folder that a new file is to be made in, and its name there."""
        if not path or path[-1:] == b"/":
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        folder, name = split(path)
        if name in (b"", b".", b".."):
            raise OSError(errno.EEXIST, os.strerror(errno.EEXIST))
        return self.tasks.open(pid, dirfd, folder or b".", _FOLDER), name

    def check(self, ident: int) -> None:
        """Raise OSError when the process has died meanwhile: its number may be another's."""
        if not notify.is_valid(self.listener, ident):
            raise OSError(errno.ESRCH, os.strerror(errno.ESRCH))
