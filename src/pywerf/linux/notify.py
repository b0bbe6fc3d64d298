"""Seccomp user notifications, the memory of the processes that they stop, and what else a supervisor calls.

Stands in the launcher too, which has no site-packages: standard library only.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from fcntl import ioctl

from pywerf.linux import syscalls as sys

__all__ = [
    "Memory",
    "Notification",
    "add_descriptor",
    "check_available",
    "fresh_proc",
    "install_listener",
    "is_valid",
    "let_continue",
    "receive",
    "reply",
    "statx",
    "wake_at_once",
]

# linux/seccomp.h
_GET_ACTION_AVAIL, _GET_NOTIF_SIZES = 2, 3
_NEW_LISTENER, _WAIT_KILLABLE = 8, 32
_USER_NOTIF = 0x7FC00000
_CONTINUE = 1
_RECV, _SEND, _ID_VALID, _ADDFD = 0xC0502100, 0xC0182101, 0x40082102, 0x40182103
_SET_FLAGS, _SYNC_WAKE_UP = 0x40082104, 1
_NOTHING = bytes(80)
_NOTIF, _RESPONSE, _ID, _ADD = (
    struct.Struct("=QIIiIQ6Q"),
    struct.Struct("=QqiI"),
    struct.Struct("=Q"),
    struct.Struct("=QIIII"),
)

_PAGE = 4096
_PATH_MAX = 4096
_SHORT = 256  # most paths are shorter
_IOV = struct.Struct("=QQQQQQ")
_STATX_SIZE = 256

# (id, thread, flags, number, architecture, instruction, six arguments)
Notification = tuple[int, int, int, int, int, int, int, int, int, int, int, int]


def check_available() -> None:
    """Raise OSError where the kernel has no user notifications (before 5.5), or a filter around us refuses them."""
    sys.seccomp_call(_GET_ACTION_AVAIL, 0, struct.pack("=I", _USER_NOTIF))
    sys.seccomp_call(_GET_NOTIF_SIZES, 0, bytes(6))


def install_listener(program: bytes) -> int:
    """seccomp(2) with SECCOMP_FILTER_FLAG_NEW_LISTENER: the descriptor on which calls are notified.

    Where the kernel can (5.19), a call that has been received is interrupted by nothing but the process's death: else
    a signal would make the process call again what has been done.
    """
    try:
        return sys.seccomp(program, _NEW_LISTENER | _WAIT_KILLABLE)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    return sys.seccomp(program, _NEW_LISTENER)


def wake_at_once(listener: int) -> None:
    """SECCOMP_IOCTL_NOTIF_SET_FLAGS with SYNC_WAKE_UP (Linux 6.6): asker and answerer take turns on one processor.

    That saves half of the time of a call. Older kernels do without.
    """
    try:
        ioctl(listener, _SET_FLAGS, _SYNC_WAKE_UP)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTTY):
            raise


def receive(listener: int) -> Notification:
    """SECCOMP_IOCTL_NOTIF_RECV of seccomp_unotify(2): the next call. ENOENT when its process has died meanwhile."""
    return _NOTIF.unpack(ioctl(listener, _RECV, _NOTHING))


def reply(listener: int, ident: int, value: int, error: int) -> None:
    """SECCOMP_IOCTL_NOTIF_SEND: the call gives `value`, or fails with `error`."""
    ioctl(listener, _SEND, _RESPONSE.pack(ident, value, -error, 0))


def let_continue(listener: int, ident: int) -> None:
    """SECCOMP_USER_NOTIF_FLAG_CONTINUE: the kernel executes the call."""
    ioctl(listener, _SEND, _RESPONSE.pack(ident, 0, 0, _CONTINUE))


def is_valid(listener: int, ident: int) -> bool:
    """SECCOMP_IOCTL_NOTIF_ID_VALID: the process still waits for this answer, so that its number is its own."""
    try:
        ioctl(listener, _ID_VALID, _ID.pack(ident))
    except OSError:
        return False
    return True


def add_descriptor(listener: int, ident: int, descriptor: int, flags: int) -> int:
    """SECCOMP_IOCTL_NOTIF_ADDFD (Linux 5.9): the number that a copy of `descriptor` has got in the process."""
    number: int = ioctl(listener, _ADDFD, bytearray(_ADD.pack(ident, 0, descriptor, 0, flags)), True)
    return number


def fresh_proc() -> int:
    """A descriptor of a proc of its own, in which this process's own pid namespace is seen. fsopen(2), Linux 5.2."""
    context = sys.fsopen("proc")
    try:
        sys.fsconfig_create(context)
        return sys.fsmount(context, sys.MOUNT_ATTR_NOSUID | sys.MOUNT_ATTR_NODEV | sys.MOUNT_ATTR_NOEXEC)
    finally:
        os.close(context)


def statx(path: bytes, flags: int, mask: int) -> bytearray:
    """statx(2): the kernel's struct statx as it is (256 bytes)."""
    buffer = ctypes.create_string_buffer(_STATX_SIZE)
    sys.statx(path, flags, mask, buffer)
    return bytearray(buffer.raw)


class Memory:
    """process_vm_readv(2) and process_vm_writev(2), with buffers that are made once."""

    def __init__(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._read, self._write = libc.process_vm_readv, libc.process_vm_writev
        for function in (self._read, self._write):
            function.argtypes = (
                ctypes.c_int,
                ctypes.c_void_p,
                ctypes.c_ulong,
                ctypes.c_void_p,
                ctypes.c_ulong,
                ctypes.c_ulong,
            )
            function.restype = ctypes.c_ssize_t
        self._buffer = ctypes.create_string_buffer(_PATH_MAX + 1)
        self._at = ctypes.addressof(self._buffer)
        self._vectors = ctypes.create_string_buffer(_IOV.size)
        self._vectors_at = ctypes.addressof(self._vectors)

    def probe(self, pid: int) -> None:
        """Raise OSError where a child, forked from this very process, cannot be read."""
        self.read(pid, self._at, 8)

    def read(self, pid: int, address: int, size: int) -> bytes:
        """Up to `size` bytes, 4096 at most: fewer where the mapped memory ends. OSError(EFAULT) when there are none."""
        here = _PAGE - address % _PAGE
        first = min(here, size)
        _IOV.pack_into(self._vectors, 0, self._at, size, address, first, address + first, size - first)
        done = self._read(pid, self._vectors_at, 1, self._vectors_at + 16, 2 if size > first else 1, 0)
        if done < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return self._buffer.raw[:done]

    def string(self, pid: int, address: int) -> bytes:
        """The bytes up to a NUL. OSError(ENAMETOOLONG) when there is none within PATH_MAX."""
        data = self.read(pid, address, _SHORT)
        end = data.find(b"\0")
        if end < 0:
            data = self.read(pid, address, _PATH_MAX)
            end = data.find(b"\0")
            if end < 0:
                raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
        return data[:end]

    def read_all(self, pid: int, address: int, size: int) -> bytes:
        """`size` bytes, however many, or OSError(EFAULT)."""
        pieces = []
        while size:
            piece = self.read(pid, address, min(size, _PATH_MAX))
            pieces.append(piece)
            address += len(piece)
            size -= len(piece)
        return b"".join(pieces)

    def write_all(self, pid: int, address: int, data: bytes) -> None:
        """Write any number of bytes."""
        for at in range(0, len(data), _PATH_MAX):
            self.write(pid, address + at, data[at : at + _PATH_MAX])

    def write(self, pid: int, address: int, data: bytes | bytearray) -> None:
        """Write all of `data`, 4096 bytes at most, or raise OSError(EFAULT)."""
        size = len(data)
        ctypes.memmove(self._at, bytes(data), size)
        _IOV.pack_into(self._vectors, 0, self._at, size, address, size, 0, 0)
        if self._write(pid, self._vectors_at, 1, self._vectors_at + 16, 1, 0) != size:
            raise OSError(errno.EFAULT, os.strerror(errno.EFAULT))
