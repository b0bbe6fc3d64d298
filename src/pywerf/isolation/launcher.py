"""The launcher process as the rest of the program sees it: start it, send it containers, end it."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from pywerf.errors import IsolationError
from pywerf.util import own_python

if TYPE_CHECKING:
    import socket

__all__ = ["Launcher"]

CHILD = "from pywerf.linux.child import main; main(3, int(sys.argv[2]), int(sys.argv[3]))"
REQUEST_FD, CGROUPS_FD = 3, 4


class Launcher:
    """`pywerf.linux.child` in a process of its own; see there for the messages.

    `start` returns at once: the first request waits for the process in the socket's buffer. `request`
    may be called from several threads. The process ends with `close`, and with this process however it
    ends; every container ends with it. With `host_pids` its containers are in our own pid namespace, or in those
    that they join.
    """

    def __init__(self, *, host_pids: bool = False) -> None:
        self._host_pids = host_pids
        self._cgroups = -1
        self._socket: socket.socket | None = None
        self._pid = 0
        self._template: bytes = b""

    def __enter__(self) -> Launcher:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """The process, 0 before `start` and after `close`."""
        return self._pid

    def start(self) -> None:
        """Start the process. Idempotent. Raises IsolationError when it cannot be started."""
        if self._socket is not None:
            return
        import socket

        if not sys.executable:
            raise IsolationError("cannot start the launcher: this program does not know its Python interpreter")
        mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        arguments = own_python.command(CHILD, str(os.getpid()), str(int(self._host_pids)))
        self._cgroups = _open_cgroups_file()
        actions = [
            (os.POSIX_SPAWN_DUP2, theirs.fileno(), REQUEST_FD),
            (os.POSIX_SPAWN_DUP2, self._cgroups, CGROUPS_FD),
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
        ]
        try:
            # A session of its own: Ctrl-C in the terminal is this program's to handle.
            self._pid = os.posix_spawn(
                sys.executable, arguments, own_python.environment(), file_actions=actions, setsid=True
            )
        except OSError as error:
            mine.close()
            self._close_cgroups()
            raise IsolationError(f"cannot start the launcher {sys.executable}: {error.strerror}") from error
        finally:
            theirs.close()
        self._socket = mine

    def note_cgroup(self, folder: str) -> None:
        """Tell the process of a cgroup: it removes those that are still there when this program is gone."""
        _write_all(self._cgroups, os.fsencode(f"{folder}\n"))

    def _close_cgroups(self) -> None:
        os.close(self._cgroups)
        self._cgroups = -1

    def prepare(self, namespaces: int, stage: list[tuple[Any, ...]]) -> None:
        """Say what most containers will have, so that spare processes wait with it. Idempotent."""
        import marshal

        template = marshal.dumps((namespaces, stage))
        if template == self._template:
            return
        self._send(b"T" + template, [])
        self._template = template

    def request(self, plan: dict[str, Any], stdin: int, stdout: int, stderr: int) -> socket.socket:
        """Ask for a container; the answer is its control socket. Raises IsolationError when the launcher ended."""
        import marshal
        import socket

        prepared = marshal.dumps((plan["namespaces"], plan["stage"])) == self._template
        plan_fd = os.memfd_create("plan")
        try:
            _write_all(plan_fd, marshal.dumps(plan))
            mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                kind = (b"P" if prepared else b"F") + (b"S" if plan["supervision"] is not None else b"")
                kind += os.fsencode(plan["pid"]) if plan["pid"].startswith("/") else b""
                self._send(kind, [stdin, stdout, stderr, theirs.fileno(), plan_fd])
            except BaseException:
                mine.close()
                raise
            finally:
                theirs.close()
        finally:
            os.close(plan_fd)
        return mine

    def _send(self, data: bytes, descriptors: list[int]) -> None:
        import socket

        if self._socket is None:
            raise IsolationError("the launcher has not been started, or is closed already")
        try:
            socket.send_fds(self._socket, [data], descriptors, socket.MSG_NOSIGNAL)
        except OSError as error:
            raise IsolationError(
                f"the launcher does not answer: {error.strerror}", hint="it was killed, or could not start"
            ) from error

    def close(self) -> None:
        """End the process and with it every container; wait until they are gone. Idempotent."""
        if self._socket is None:
            return
        self._socket.close()
        self._socket = None
        self._close_cgroups()
        self._template = b""
        pid, self._pid = self._pid, 0
        try:
            os.waitpid(pid, 0)
        except ChildProcessError:
            return  # somebody waited for all children


def _open_cgroups_file() -> int:
    """An empty file in memory, numbered above what the process will know it by."""
    from fcntl import F_DUPFD_CLOEXEC, fcntl

    low = os.memfd_create("cgroups")
    try:
        return fcntl(low, F_DUPFD_CLOEXEC, CGROUPS_FD + 1)
    finally:
        os.close(low)


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
