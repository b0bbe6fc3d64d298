"""What stands for device nodes in a root file system where nobody may make them: files that behave alike.

mknod(2) of a device needs CAP_MKNOD, which containers of podman do not have. Then
    null            is a file that is emptied as soon as something is written to it
    zero            is a file with nothing but a hole, a TiB long
    random, urandom are pipes that this process fills
and there is no full and no tty. Where /proc is missing, stderr is a pipe whose content this process passes on to its
own. Used by `pywerf.linux.plain_child`: standard library only.
"""

from __future__ import annotations

import os

from pywerf.linux import syscalls as sys

TYPE_CHECKING = False  # the typing module would double the start-up time
if TYPE_CHECKING:
    import select

__all__ = ["NAMES", "StandIns", "make_stand_in"]

NAMES = ("null", "zero", "random", "urandom")

_ZEROS = 1 << 40
_CHUNK = 1 << 16
_POLLIN, _POLLOUT = 1, 4
_PIPE_SIZE, _SET_PIPE_SIZE = 1 << 20, 1031  # F_SETPIPE_SZ, fcntl(2)


def make_stand_in(name: str, folder: int) -> None:
    """Put one of NAMES into an open folder. Raises OSError."""
    if name in ("random", "urandom"):
        os.mkfifo(name, 0o644, dir_fd=folder)
        os.chmod(name, 0o444, dir_fd=folder)
        return
    fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666, dir_fd=folder)
    try:
        if name == "zero":
            os.ftruncate(fd, _ZEROS)
        os.fchmod(fd, 0o666 if name == "null" else 0o444)
    finally:
        os.close(fd)


class StandIns:
    """A context manager: while it is entered, the stand-ins `names` in /dev of `root` are served."""

    def __init__(self, root: str, names: list[str]) -> None:
        self._folder = f"{root}/dev"
        self._names = names
        self._null = self._changes = self._errors = self._stderr = -1
        self._pipes: list[int] = []

    def __enter__(self) -> StandIns:
        if "null" in self._names:
            path = f"{self._folder}/null"
            self._null = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            self._changes = sys.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
            sys.inotify_add_watch(self._changes, path, sys.IN_MODIFY)
        for name in ("random", "urandom"):
            if name in self._names:
                # For reading too: a pipe without a reader cannot be opened, and would end this process.
                fd = os.open(f"{self._folder}/{name}", os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
                self._pipes.append(fd)
                self._enlarge(fd)
        if "stderr" in self._names:
            self._errors = os.open(f"{self._folder}/stderr", os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
            self._stderr = os.dup(2)
        return self

    def __exit__(self, *_: object) -> None:
        if self._errors >= 0:
            self._pass_on()
        for fd in (self._null, self._changes, self._errors, self._stderr, *self._pipes):
            if fd >= 0:
                os.close(fd)

    @staticmethod
    def _enlarge(fd: int) -> None:
        """A read of a device gives all that was asked for; a pipe's at most what it holds."""
        from fcntl import fcntl

        try:
            fcntl(fd, _SET_PIPE_SIZE, _PIPE_SIZE)
        except OSError:
            return  # it is as large as this user may have it

    def register(self, poll: select.poll) -> None:
        """Have `poll` tell when there is something to do."""
        if self._changes >= 0:
            poll.register(self._changes, _POLLIN)
        if self._errors >= 0:
            poll.register(self._errors, _POLLIN)
        for fd in self._pipes:
            poll.register(fd, _POLLOUT)

    def serve(self, fd: int) -> None:
        """Do it, for the descriptor that `poll` gave."""
        if fd == self._changes:
            self._empty()
        elif fd == self._errors:
            self._pass_on()
        else:
            try:
                os.write(fd, os.urandom(_CHUNK))
            except BlockingIOError:
                return

    def _empty(self) -> None:
        try:
            os.read(self._changes, _CHUNK)
        except BlockingIOError:
            return
        if os.fstat(self._null).st_size:  # emptying it is a change, too
            os.ftruncate(self._null, 0)

    def _pass_on(self) -> None:
        """What is in the pipe now; nobody may be there to read it."""
        while True:
            try:
                data = memoryview(os.read(self._errors, _CHUNK))
                while data:
                    data = data[os.write(self._stderr, data) :]
            except (BlockingIOError, BrokenPipeError):
                return
