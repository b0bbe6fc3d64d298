"""How a container's system calls get to a supervisor: by way of the launcher, to a process of its own.

The container's process installs the filter and sends the listener to the launcher. The launcher waits for the first
call on it, and only then starts the supervisor: most containers on rung 2 never make a device.
"""

from __future__ import annotations

import _socket
import errno
import marshal
import os
import select
import struct

from pywerf.linux import notify  # now: a container's process has its own file system over ours
from pywerf.linux.frames import close_others

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Supervision", "hand_over", "send"]

SIGKILL = 9
_MESSAGE_MAX = 1 << 16
# No filter with a listener: an old kernel, a process that has one already, or a filter around us that forbids it.
_NOT_HERE = frozenset((errno.EINVAL, errno.ENOSYS, errno.EBUSY, errno.EPERM, errno.EACCES))


def hand_over(socket_fd: int, settings: dict[str, Any]) -> None:
    """The container's side: install the filter and send the listener, the mount namespace and the settings.

    Where that cannot be done the container goes on without, if its settings say that it may. Raises OSError.
    """
    socket = _socket.socket(fileno=socket_fd)
    try:
        namespace = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        try:
            listener = notify.install_listener(settings["filter"])
        except OSError as error:
            if error.errno in _NOT_HERE and not settings["everything"]:
                return
            raise
        send(socket, settings, listener, namespace)
    finally:
        socket.close()


def send(socket: _socket.socket, settings: dict[str, Any], listener: int, namespace: int) -> None:
    """Send the launcher's `Supervision` what it waits for, and close both descriptors."""
    rights = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, struct.pack("2i", listener, namespace))]
    socket.sendmsg([marshal.dumps(settings)], rights, _socket.MSG_NOSIGNAL)
    os.close(listener)
    os.close(namespace)


class Supervision:
    """The launcher's side. `fd` is what it waits for: the message, the first call, the supervisor's end; -1: nothing.

    `lost` says why the container had to be ended.
    """

    __slots__ = ("_descriptors", "_ended", "_pid", "_settings", "_socket", "fd", "lost")

    def __init__(self, socket: _socket.socket) -> None:
        self._socket: _socket.socket | None = socket
        self._descriptors: list[int] = []
        self._settings: dict[str, Any] = {}
        self._pid = 0
        self._ended = False
        self.fd = socket.fileno()
        self.lost = ""

    @classmethod
    def begin(cls) -> tuple[Supervision, int]:
        """One that waits for its container, and the descriptor which that one gets."""
        mine, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
        return cls(mine), theirs.detach()

    def advance(self, events: int) -> bool:
        """What `fd` waited for has come (poll(2)). False: the supervisor is lost, and the container has to end."""
        if self._socket is not None:
            self._receive()
            return True
        if not self._pid:
            if events & select.POLLIN:
                return self._start()
            self._close()  # no call any more: all processes have ended
            self.fd = -1
            return True
        self._reap()
        return False

    def _receive(self) -> None:
        socket, self._socket = self._socket, None
        assert socket is not None
        data, ancillary, _, _ = socket.recvmsg(_MESSAGE_MAX, _socket.CMSG_SPACE(8), _socket.MSG_CMSG_CLOEXEC)
        for _, _, rights in ancillary:
            self._descriptors += struct.unpack(f"{len(rights) // 4}i", rights)
        socket.close()
        self.fd = -1
        if data and len(self._descriptors) == 2:
            self._settings = marshal.loads(data)
            self.fd = self._descriptors[0]

    def _start(self) -> bool:
        try:
            self._pid = os.fork()
        except OSError as error:
            self.lost = f"its system calls cannot be supervised: {error.strerror}"
            return False
        if self._pid == 0:
            _live(self._descriptors, self._settings)
        self._close()
        self.fd = os.pidfd_open(self._pid)
        return True

    def _close(self) -> None:
        for fd in self._descriptors:
            os.close(fd)
        self._descriptors.clear()

    def _reap(self) -> None:
        _, status = os.waitpid(self._pid, 0)
        if status != SIGKILL or not self._ended:  # it has ended by itself, or by somebody else
            self.lost = "the process that supervised its system calls has ended"
        self._pid = 0
        os.close(self.fd)
        self.fd = -1

    def end(self) -> None:
        """The container has ended: so does its supervisor."""
        if self._socket is not None:
            self._socket.close()
        self._close()
        if self._pid:
            self._ended = True
            os.kill(self._pid, SIGKILL)
            self._reap()


def _live(descriptors: list[int], settings: dict[str, Any]) -> None:
    """The supervisor's whole life. It ends with the launcher. Bugs show on standard error."""
    from pywerf.linux import syscalls as sys

    try:
        sys.prctl(sys.PR_SET_PDEATHSIG, SIGKILL)
        close_others(descriptors)
        from pywerf.linux.supervisor import supervise

        supervise(descriptors[0], descriptors[1], settings)
    except BaseException as error:
        # No traceback: it would look for modules and sources, and this process may be in the container's file system.
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        where = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else ""
        os.write(2, f"supervisor of system calls: {type(error).__name__}: {error} ({where})\n".encode())
    finally:
        os._exit(1)
