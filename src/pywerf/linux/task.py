"""A process that waits in a system call, as its supervisor sees it: its memory, its paths, who the kernel takes it for.

The supervisor has the container's root as its own and a proc of its own pid namespace as its working folder: an
absolute path of the process is the same path here, a relative one begins with `PID/cwd/`, and no path can lead out of
the container's root, whatever is renamed meanwhile. Where a process has changed its root (`Tasks.roots_differ`),
its absolute paths are resolved in that root (openat2(2), RESOLVE_IN_ROOT).
"""

from __future__ import annotations

import errno
import os

from pywerf.linux.notify import Memory
from pywerf.linux.openat2 import RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS, openat2

__all__ = ["Credentials", "Tasks", "read_credentials", "split"]

AT_FDCWD = 0xFFFFFF9C
_PATH = os.O_PATH | os.O_CLOEXEC
_SELF = (b"/proc/self/", b"/proc/thread-self/")
_MAX_TRIES = 64


class Credentials:
    """Of /proc/PID/status: `umask`, `uid` and `gid` of what it makes, `effective` capabilities."""

    __slots__ = ("effective", "gid", "uid", "umask")

    def __init__(self, umask: int, uid: int, gid: int, effective: int) -> None:
        self.umask = umask
        self.uid = uid
        self.gid = gid
        self.effective = effective


def read_credentials(status: bytes) -> Credentials:
    """From the content of a proc(5) status file."""
    lines = dict(line.split(b":", 1) for line in status.splitlines() if b":" in line)
    return Credentials(
        int(lines[b"Umask"], 8),
        int(lines[b"Uid"].split()[3]),
        int(lines[b"Gid"].split()[3]),
        int(lines[b"CapEff"], 16),
    )


def split(path: bytes) -> tuple[bytes, bytes]:
    """A path's folder (empty: where it is relative to) and its last name, without slashes at the end."""
    path = path.rstrip(b"/") or b"/"
    folder, slash, name = path.rpartition(b"/")
    return (folder or slash), name


class Tasks:
    """Processes of one container by their numbers (of threads) in this process's pid namespace."""

    def __init__(self, *, roots_differ: bool = False) -> None:
        self.memory = Memory()
        self.roots_differ = roots_differ

    def credentials(self, pid: int) -> Credentials:
        """What the kernel knows of it."""
        return read_credentials(_read(b"%d/status" % pid))

    def base_slack(self, pid: int) -> int:
        """Its timer slack in nanoseconds (prctl(2), PR_SET_TIMERSLACK): threads and children inherit it."""
        return int(_read(b"%d/timerslack_ns" % pid))

    def set_slack(self, pid: int, slack: int) -> None:
        """Change it. CAP_SYS_NICE over the process."""
        fd = os.open(b"%d/timerslack_ns" % pid, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, b"%d" % slack)
        finally:
            os.close(fd)

    def place(self, pid: int, dirfd: int, path: bytes) -> bytes:
        """A path that means to this process what `path` means to that one, for looking: an empty one is the descriptor.

        Raises OSError.
        """
        if path[:1] == b"/":
            if path.startswith(_SELF):
                return b"%d/" % pid + path.split(b"/", 3)[3]
            if self.roots_differ:
                path = self._in_own_root(pid, path)
            return path
        if dirfd & 0xFFFFFFFF == AT_FDCWD:
            return b"%d/cwd/" % pid + path
        if not path:
            return b"%d/fd/%d" % (pid, dirfd & 0xFFFFFFFF)
        return b"%d/fd/%d/" % (pid, dirfd & 0xFFFFFFFF) + path

    def _in_own_root(self, pid: int, path: bytes) -> bytes:
        """The path below the process's root, symlinks of the folder it is in resolved there."""
        root = os.readlink(b"%d/root" % pid)
        if root == b"/":
            return path
        folder, name = split(path)
        fd = self._resolve(os.open(b"%d/root" % pid, _PATH), folder, os.O_DIRECTORY, RESOLVE_IN_ROOT)
        try:
            here = os.readlink(b"self/fd/%d" % fd)
        finally:
            os.close(fd)
        return here + b"/" + name

    def open(self, pid: int, dirfd: int, path: bytes, flags: int, mode: int = 0) -> int:
        """Open a file of that process as it would, with no link of proc on the way; O_PATH for what is to be changed.

        Raises OSError: ELOOP for those links.
        """
        if not path or path.startswith(_SELF):
            # Descriptors of its own, which it may name in these two ways.
            return os.open(self.place(pid, dirfd, path), flags | os.O_CLOEXEC)
        resolve = 0
        if path[:1] == b"/":
            base = os.open(b"%d/root" % pid if self.roots_differ else b"/", _PATH)
            resolve = RESOLVE_IN_ROOT if self.roots_differ else 0
        elif dirfd & 0xFFFFFFFF == AT_FDCWD:
            base = os.open(b"%d/cwd" % pid, _PATH)
        else:
            base = os.open(b"%d/fd/%d" % (pid, dirfd & 0xFFFFFFFF), _PATH)
        return self._resolve(base, path, flags, resolve, mode)

    @staticmethod
    def _resolve(base: int, path: bytes, flags: int, resolve: int, mode: int = 0) -> int:
        """openat2(2) below `base`, which is closed."""
        try:
            for _ in range(_MAX_TRIES):
                try:
                    return openat2(base, path, flags, mode, resolve | RESOLVE_NO_MAGICLINKS)
                except OSError as error:
                    if error.errno != errno.EAGAIN:
                        raise
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        finally:
            os.close(base)


def _read(path: bytes) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, 1 << 14)
    finally:
        os.close(fd)
