"""Runs one container by chroot(2) alone: no namespace, no mount. The process that stays until all of it is dead.

Started as `python -I -S -c …` by `pywerf.isolation.plain`; imports nothing heavy. It is the reaper of all that the
container starts (PR_SET_CHILD_SUBREAPER): whoever loses its parent becomes its child, and when the first process has
ended, or nobody waits any more, it kills children until there are none.

Descriptors: 0, 1, 2 the container's streams; 3 the control socket; 4 the plan, a file with marshal(dict). On the
control socket it speaks as `pywerf.linux.child` does: R ready, E error, X wait status; single bytes that come are
signals, the end of file kills. Beside the keys that `take_identity` wants the plan has `root`, `terminal`, `argv`,
`env`, and `stand_ins`, see `pywerf.linux.stand_ins`.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # `signal` imports enum, which costs milliseconds
import _socket
import marshal
import os
import select

from pywerf.linux import syscalls as sys
from pywerf.linux.apply import execute, own_terminal, take_identity
from pywerf.linux.frames import read_all, send_frame
from pywerf.linux.orphans import descendants
from pywerf.linux.stage import SetupFailed, Steps
from pywerf.linux.stand_ins import StandIns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

__all__ = ["main"]

CONTROL, PLAN = 3, 4
SIGKILL = 9
CHUNK = 1 << 16


def main() -> None:
    """The process's whole life."""
    for number in (_signal.SIGINT, _signal.SIGPIPE, _signal.SIGXFSZ):
        _signal.signal(number, _signal.SIG_DFL)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, [])
    sys.close_range(PLAN + 1, -1)
    # The container's root is this process's user: it must not become what it traces.
    sys.prctl(sys.PR_SET_DUMPABLE, 0)
    sys.prctl(sys.PR_SET_CHILD_SUBREAPER, 1)
    control = _socket.socket(fileno=CONTROL)
    plan = marshal.loads(read_all(PLAN))
    os.close(PLAN)
    try:
        with StandIns(plan["root"], plan["stand_ins"]) as stand_ins:
            child = _start(plan)
            send_frame(control, b"R", [], None)
            _without_streams()
            status = _Reaper(control, child, stand_ins).wait()
    except SetupFailed as error:
        _end_all()
        send_frame(control, b"E", (error.step, error.number, error.text))
    except OSError as error:
        _end_all()
        send_frame(control, b"E", ("watch over the container", error.errno or 0, error.strerror or str(error)))
    else:
        send_frame(control, b"X", status)


def _without_streams() -> None:
    """Let go of the container's streams: whoever reads them waits for their end."""
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    for number in (0, 1, 2):
        os.dup2(null, number)


def _start(plan: dict[str, Any]) -> int:
    """The container's first process, which has got as far as its command. Raises SetupFailed."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        _be_first(plan, writer)
    os.close(writer)
    with open(reader, "rb") as file:
        answer = file.read()
    if answer != b"R":
        os.waitpid(child, 0)
        raise SetupFailed(*marshal.loads(answer)) if answer else SetupFailed("start the first process", 0, "it ended")
    return child


def _be_first(plan: dict[str, Any], report: int) -> NoReturn:
    step = Steps()
    try:
        try:
            os.setsid()
            if plan["terminal"]:
                step("take the terminal")
                own_terminal()
            step("enter the root file system")
            os.chroot(plan["root"])
            os.chdir("/")
            os.umask(0o022)
            take_identity(plan, step)
        except OSError as error:
            failed = step.failed(error)
            os.write(report, marshal.dumps((failed.step, failed.number, failed.text)))
            os._exit(1)
        os.write(report, b"R")
        sys.close_range(3, -1, sys.CLOSE_RANGE_CLOEXEC)
        execute(plan["argv"], plan["env"])
    finally:
        os._exit(1)


class _Reaper:
    """Waits for the end of a container: that of its first process, or of those who wait for it."""

    def __init__(self, control: _socket.socket, child: int, stand_ins: StandIns) -> None:
        self.control = control
        self.child = child
        self.stand_ins = stand_ins
        self.status: int | None = None

    def wait(self) -> int:
        """The wait status of the first process; nothing of the container lives any more."""
        woken, wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        _signal.signal(_signal.SIGCHLD, lambda number, frame: None)
        _signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        poll = select.poll()
        poll.register(woken, select.POLLIN)
        poll.register(self.control.fileno(), select.POLLIN)
        self.stand_ins.register(poll)
        self._reap()  # what ended before the handler was there
        while self.status is None:
            for fd, _ in poll.poll():
                if fd == woken:
                    os.read(woken, CHUNK)
                    self._reap()
                elif fd == self.control.fileno():
                    self._on_control()
                else:
                    self.stand_ins.serve(fd)
        _end_all()
        return self.status

    def _reap(self) -> None:
        """Take in all that has ended; orphans of the container among them."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self.child:
                self.status = status

    def _on_control(self) -> None:
        try:
            signals = self.control.recv(64)
        except ConnectionError:
            signals = b""
        if not signals:  # nobody waits any more
            _end_all()
            os._exit(1)
        for number in signals:
            if self.status is None:
                os.kill(self.child, number)  # it is not reaped yet: the number is its own


def _end_all() -> None:
    """Kill whatever descends from this process, until there is nothing left; what is orphaned becomes its child."""
    while True:
        for pid in descendants(os.getpid()):
            try:
                os.kill(pid, SIGKILL)
            except ProcessLookupError:
                continue
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return
