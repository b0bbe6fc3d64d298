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
        self._held = -1

    def credentials(self, pid: int) -> Credentials:
        """What the kernel knows of it."""
        return read_credentials(_read(b"%d/status" % pid))

    def slack(self, pid: int) -> int:
        """Its timer slack in nanoseconds (prctl(2), PR_SET_TIMERSLACK): threads and children inherit it."""
        return int(_read(b"%d/timerslack_ns" % pid))

    def set_slack(self, pid: int, slack: int) -> None:
        """Change it. CAP_SYS_NICE over the process."""
        fd = os.open(b"%d/timerslack_ns" % pid, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, b"%d" % slack)
        finally:
            os.close(fd)

    def place(self, pid: int, dirfd: int, path: bytes, *, follow: bool = True) -> tuple[bytes, bool]:
        """A path for looking that means here what `path` means to that process, and whether it is to be followed.

        An empty path is the descriptor. The answer counts until the next call. Raises OSError.
        """
        if path.startswith(_SELF):
            return b"%d/" % pid + path.split(b"/", 3)[3], follow
        if self.roots_differ:
            root = os.readlink(b"%d/root" % pid)
            if root != b"/":
                self._release()
                self._held = self._open_in_root(pid, root, dirfd, path, os.O_PATH | (0 if follow else os.O_NOFOLLOW))
                return b"self/fd/%d" % self._held, True
        if path[:1] == b"/":
            return path, follow
        if dirfd & 0xFFFFFFFF == AT_FDCWD:
            return b"%d/cwd/" % pid + path, follow
        if not path:
            return b"%d/fd/%d" % (pid, dirfd & 0xFFFFFFFF), True
        return b"%d/fd/%d/" % (pid, dirfd & 0xFFFFFFFF) + path, follow

    def open(self, pid: int, dirfd: int, path: bytes, flags: int, mode: int = 0) -> int:
        """Open a file of that process as it would, with no link of proc on the way; O_PATH for what is to be changed.

        Raises OSError: ELOOP for those links.
        """
        if path.startswith(_SELF):
            # A descriptor of its own, which it may name in this way.
            return os.open(b"%d/" % pid + path.split(b"/", 3)[3], flags | os.O_CLOEXEC)
        if not path:
            return os.open(self._base(pid, dirfd), flags & ~os.O_NOFOLLOW | os.O_CLOEXEC)
        if self.roots_differ:
            root = os.readlink(b"%d/root" % pid)
            if root != b"/":
                return self._open_in_root(pid, root, dirfd, path, flags, mode)
        base = b"/" if path[:1] == b"/" else self._base(pid, dirfd)
        return self._resolve(os.open(base, _PATH), path, flags, 0, mode)

    @staticmethod
    def _base(pid: int, dirfd: int) -> bytes:
        """What relative paths begin at."""
        if dirfd & 0xFFFFFFFF == AT_FDCWD:
            return b"%d/cwd" % pid
        return b"%d/fd/%d" % (pid, dirfd & 0xFFFFFFFF)

    def _open_in_root(self, pid: int, root: bytes, dirfd: int, path: bytes, flags: int, mode: int = 0) -> int:
        """`open` for a process whose root is the folder `root`: absolute paths and links are resolved there."""
        if not path:
            return os.open(self._base(pid, dirfd), flags & ~os.O_NOFOLLOW | os.O_CLOEXEC)
        if path[:1] != b"/":
            folder = os.readlink(self._base(pid, dirfd))
            if folder != root and not folder.startswith(root + b"/"):
                # It is outside of its root, which only root could do to it.
                return self._resolve(os.open(self._base(pid, dirfd), _PATH), path, flags, 0, mode)
            path = folder[len(root) :] + b"/" + path
        return self._resolve(os.open(b"%d/root" % pid, _PATH), path, flags, RESOLVE_IN_ROOT, mode)

    def _release(self) -> None:
        if self._held >= 0:
            os.close(self._held)
            self._held = -1

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
