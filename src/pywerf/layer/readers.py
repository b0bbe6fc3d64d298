"""Processes that read small files for a layer beside this one, since one thread of Python keeps one processor busy."""

from __future__ import annotations

import os
import select
import sys
from signal import SIGKILL
from typing import TYPE_CHECKING

from pywerf.layer.pack import FRAME
from pywerf.util import own_python

if TYPE_CHECKING:
    import socket

    from pywerf.layer.pack import Left

__all__ = ["DEPTH", "Reader", "ReaderLost"]

DEPTH = 3
"""Batches that wait for one process or are being read by it, so that it does not wait for us."""

_CODE = (
    "import os; from pywerf.layer.pack import serve; "
    "serve(0, 1, os.fsencode(sys.argv[2]), int(sys.argv[3]), bool(int(sys.argv[4])))"
)
_PIPE = 1 << 20  # bytes; as much as everybody may have


class ReaderLost(Exception):
    """The process has ended before its work."""


class Reader:
    """One process, `pywerf.layer.pack.serve`. It ends with `close`, and with this process however that ends.

    `waiting` is the number of batches that have been sent and not been received.
    """

    def __init__(self, root: bytes, clamp: int, *, subsecond: bool = False) -> None:
        """Raises OSError when it cannot be started."""
        import socket

        if not sys.executable:
            raise FileNotFoundError("this program does not know its Python interpreter")
        self.waiting = 0
        mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket: socket.socket = mine
        self._results, results = os.pipe()
        try:
            # The process changes its current directory.
            whole = root if os.path.isabs(root) else os.path.join(os.getcwdb(), root)
            arguments = own_python.command(_CODE, whole, str(clamp), str(int(subsecond)))
            self._pid = _spawn(arguments, theirs.fileno(), results)
        except BaseException:
            mine.close()
            os.close(self._results)
            raise
        finally:
            theirs.close()
            os.close(results)
        _enlarge(self._results)
        self._poll = select.poll()
        self._poll.register(self._results, select.POLLIN)

    def send(self, batch: list[bytes | tuple[bytes, list[bytes]]]) -> bool:
        """Hand over a batch; False when it cannot be taken now."""
        import marshal

        if self.waiting >= DEPTH or not self._send(marshal.dumps(batch)):
            return False
        self.waiting += 1
        return True

    def ready(self) -> bool:
        """Whether `receive` has something, or finds that the process is lost."""
        return self._results < 0 or bool(self._poll.poll(0))

    def receive(self) -> tuple[bytes, int, list[Left]]:
        """What the process has made next, as `Put` of `pywerf.layer.pack` has it. Waits for it. Raises ReaderLost."""
        import marshal

        length, number, rest = FRAME.unpack(self._read(FRAME.size))
        data = self._read(length)
        return data, number, marshal.loads(self._read(rest)) if rest else []

    def close(self) -> None:
        """End the process, which has nothing to lose, and wait until it is gone. Idempotent."""
        if self._results < 0:
            return
        self._socket.close()
        os.close(self._results)
        self._results = -1
        try:
            os.kill(self._pid, SIGKILL)
            os.waitpid(self._pid, 0)
        except (ProcessLookupError, ChildProcessError):
            return  # somebody waited for all children

    def _send(self, packet: bytes) -> bool:
        import socket

        try:
            self._socket.send(packet, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except OSError:  # its buffer is full or too small, or it has ended, which `receive` tells
            return False
        return True

    def _read(self, length: int) -> bytes:
        parts: list[bytes] = []
        while length:
            data = os.read(self._results, length) if self._results >= 0 else b""
            if not data:
                raise ReaderLost
            parts.append(data)
            length -= len(data)
        return parts[0] if len(parts) == 1 else b"".join(parts)


def _spawn(arguments: list[str | bytes], requests: int, results: int) -> int:
    from fcntl import F_DUPFD_CLOEXEC, fcntl

    moved: list[int] = []
    try:
        for fd in (requests, results):
            # Out of the way first: a number that is given may be one that is to be had.
            moved.append(fcntl(fd, F_DUPFD_CLOEXEC, 3))
        actions = [(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate(moved)]
        # A session of its own: Ctrl-C in the terminal is this program's to handle.
        environment = own_python.environment()
        return os.posix_spawn(sys.executable, arguments, environment, file_actions=actions, setsid=True)
    finally:
        for fd in moved:
            os.close(fd)


def _enlarge(pipe: int) -> None:
    """Room for several batches, so that the process does not wait for us; works without."""
    from fcntl import F_SETPIPE_SZ, fcntl

    try:
        fcntl(pipe, F_SETPIPE_SZ, _PIPE)
    except OSError:
        return
