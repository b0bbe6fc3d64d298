"""Connects a container's own network namespace with the outside, through a program that does so in user space.

Runs in the launcher's children: standard library and its neighbours only. What is started was decided by
`pywerf.isolation.private_network`.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # `signal` imports enum, which costs milliseconds
import os

from pywerf.linux import syscalls as sys
from pywerf.linux.stage import STAGE, SetupFailed

TYPE_CHECKING = False  # the typing module would double the launcher's start-up time
if TYPE_CHECKING:
    from typing import Any, NoReturn

__all__ = ["CONNECTING", "NAMESPACE", "READY_FD", "Connector"]

CONNECTING = "connect the network"
NAMESPACE = STAGE + "/net"  # where the program finds the container's network namespace
READY_FD = 3
SAID_MAX = 1 << 16


class Connector:
    """A process that is forked while this one still is in the network of the host, where it stays.

    A user namespace cannot go back there: this is the one way without root. It is in the pid namespace around the
    container, which it ends with, but not in the container's own, where it could be traced.
    """

    def __init__(self, plan: dict[str, Any]) -> None:
        """Fork the process; it waits for `connect`. `plan` has argv, env and detaches. Raises OSError."""
        self._plan = plan
        self._name: str = plan["argv"][0].rpartition("/")[2]
        self._said = os.memfd_create("said", os.MFD_CLOEXEC)
        waits, self._go = os.pipe2(os.O_CLOEXEC)
        self._ready, ready = os.pipe2(os.O_CLOEXEC)
        whose = os.readlink("/proc/self")  # this process as that /proc has it, whose pid namespace may be another one
        self._pid = os.fork()
        if self._pid == 0:
            os.close(self._go)
            try:
                if os.read(waits, 1):
                    self._become(f"/proc/{whose}/ns/net", ready)
            except OSError as error:
                os.write(self._said, os.fsencode(f"{error.filename or self._name}: {error.strerror}\n"))
            finally:
                os._exit(127)
        os.close(waits)
        os.close(ready)

    def _become(self, namespace: str, ready: int) -> NoReturn:
        """Bind the namespace to a path that stays valid whatever the program gives up, and execute it."""
        sys.unshare(sys.CLONE_NEWNS)
        sys.mount(None, "/", None, sys.MS_REC | sys.MS_PRIVATE)
        sys.mount("tmpfs", STAGE, "tmpfs", sys.MS_NOSUID | sys.MS_NODEV | sys.MS_NOEXEC, "mode=0700")
        os.close(os.open(NAMESPACE, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        sys.mount(namespace, NAMESPACE, None, sys.MS_BIND)
        os.chdir("/")
        os.setsid()
        nothing = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        for number, fd in enumerate([_high(fd) for fd in (nothing, self._said, self._said, ready)]):
            os.dup2(fd, number)
        sys.close_range(READY_FD + 1, -1)
        _limit_what_is_said()
        os.execve(self._plan["argv"][0], self._plan["argv"], self._plan["env"])

    def connect(self) -> None:
        """Once this process has its network namespace: connect it, and wait until that is done. Raises SetupFailed."""
        os.write(self._go, b"1")
        os.close(self._go)
        if self._plan["detaches"]:
            _, status = os.waitpid(self._pid, 0)
            connected = status == 0
        else:
            connected = bool(os.read(self._ready, 1))
        os.close(self._ready)
        if not connected:
            said = os.pread(self._said, SAID_MAX, 0).decode("utf-8", "replace")
            raise SetupFailed(f"{CONNECTING} with {self._name}", 0, said or "it did not say why")
        os.close(self._said)


def _high(fd: int) -> int:
    """A descriptor above those that are about to be taken."""
    from fcntl import F_DUPFD_CLOEXEC, fcntl

    return fcntl(fd, F_DUPFD_CLOEXEC, READY_FD + 1)


def _limit_what_is_said() -> None:
    """What a program says goes to a file in memory: a container cannot make it endless."""
    from resource import RLIMIT_FSIZE, setrlimit

    _signal.signal(_signal.SIGXFSZ, _signal.SIG_IGN)
    setrlimit(RLIMIT_FSIZE, (SAID_MAX, SAID_MAX))
