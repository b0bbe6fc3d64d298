"""The launcher: a small process that starts every container of a command by fork(2).

Started as `python -I -S -c …` by `pywerf.isolation.launcher`; imports nothing heavy. It is the first
process of a pid namespace of its own, so that the kernel ends every container when it ends, however it
ends. A spare child waits with its namespaces and kernel file systems made; a container costs a
message, its root file system and an execve(2).

Messages on the request socket (SOCK_SEQPACKET), one datagram each:
    T + marshal((namespaces, operations))    what spares are prepared with (one file descriptor: none)
    P or F + 5 descriptors                   start: standard input, output, error, control, plan
P takes the spare when there is one; F wants a process of its own, prepared from the plan alone. An S behind them says
that the container's system calls are supervised; then comes the path of the pid namespace to join, if it is not a new
one. The plan is a file with marshal(dict), see `pywerf.isolation.plan`.

A launcher for containers in the host's pid namespace, or in somebody else's, stays in the host's: there is nobody
whose end takes such containers with it, so it kills what they leave behind by their mount namespace.

The control socket (SOCK_STREAM) of a container carries back frames of a kind, a length (4 bytes,
little-endian) and marshal data: R ready (created paths; the terminal's descriptor with it), E error
(step, errno, text; of a container that runs: why it was ended), X the wait status; and carries in
single bytes: signal numbers. Its end of file means that nobody waits any more: the container is killed.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # `signal` imports enum, which costs milliseconds
import _socket
import gc
import marshal
import os
import select

from pywerf.linux import syscalls as sys
from pywerf.linux.contained import GIVEN, be_container, be_spare, exit_after
from pywerf.linux.frames import read_all, received_descriptors, send_descriptors, send_frame
from pywerf.linux.supervision import Supervision

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["main"]

SIGKILL = 9
PIDFD_ENDED = select.POLLIN
ROUNDS = 50  # how often the processes that a container left are looked for


def main(request_fd: int, parent: int, host_pids: int = 0) -> None:
    """The launcher's whole life: ends when the parent process or the request socket ends.

    The descriptor behind the request socket is a file with the cgroups that are made meanwhile, a line each.
    """
    cgroups_fd = request_fd + 1
    gc.disable()
    for number in (_signal.SIGINT, _signal.SIGPIPE, _signal.SIGXFSZ):
        _signal.signal(number, _signal.SIG_DFL)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, [])
    sys.close_range(cgroups_fd + 1, -1)
    parent_fd = os.pidfd_open(parent)
    if os.getppid() != parent:
        return
    gc.freeze()
    if host_pids:
        launcher = Launcher(request_fd, host_pids=True)
        launcher.serve()
        launcher.kill_all()
        _remove_cgroups(cgroups_fd)
        return
    try:
        sys.unshare(sys.CLONE_NEWPID)
    except OSError:
        # No right to: containers will say so, each with its reason.
        sys.prctl(sys.PR_SET_PDEATHSIG, SIGKILL)
        Launcher(request_fd).serve()
        _remove_cgroups(cgroups_fd)
        return
    child = os.fork()
    if child == 0:
        sys.prctl(sys.PR_SET_PDEATHSIG, SIGKILL)
        os.close(parent_fd)
        os.close(cgroups_fd)
        exit_after(Launcher(request_fd).serve)
    os.close(request_fd)
    # This process stays until the last container is gone: it runs the interpreter's binary, which the
    # kernel therefore lets nobody write to, not even a container that got hold of it by /proc/self/exe.
    child_fd = os.pidfd_open(child)
    poll = select.poll()
    poll.register(parent_fd, select.POLLIN)
    poll.register(child_fd, select.POLLIN)
    ready = {fd for fd, _ in poll.poll()}
    if child_fd not in ready:
        os.kill(child, SIGKILL)
    os.waitpid(child, 0)
    _remove_cgroups(cgroups_fd)


def _remove_cgroups(fd: int) -> None:
    """Those that are still there, because the program was killed; it removes them itself otherwise."""
    for folder in read_all(fd).decode("utf-8", "surrogateescape").splitlines():
        for _ in range(ROUNDS):
            try:
                os.rmdir(folder)
            except FileNotFoundError:
                break
            except OSError:
                select.poll().poll(10)  # its last process is just ending
            else:
                break


def _kill_in_mount_namespace(inode: int) -> None:
    """End every process in a mount namespace: what a container left behind that had no pid namespace of its own."""
    for _ in range(ROUNDS):
        found = False
        for name in os.listdir("/proc"):
            if not name.isdigit():
                continue
            try:
                if os.stat(f"/proc/{name}/ns/mnt").st_ino == inode:
                    os.kill(int(name), SIGKILL)
                    found = True
            except OSError:
                continue  # it has ended, or it is none of ours
        if not found:
            return
        select.poll().poll(1)


class Process:
    """A child: a spare that waits for a container (`handover`), or one that has its container (`control`).

    `mark` is a pipe that tells the container's mount namespace, where others do not end with the first process.
    """

    __slots__ = ("control", "handover", "mark", "pid", "pidfd", "supervision")

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.pidfd = os.pidfd_open(pid)
        self.handover: _socket.socket | None = None
        self.control: _socket.socket | None = None
        self.supervision: Supervision | None = None
        self.mark = -1

    def take(self, descriptors: list[int]) -> bool:
        """Give a spare its container. False: it has died; its end is noticed like any other's."""
        if self.handover is None:
            return False
        try:
            send_descriptors(self.handover, b"P", descriptors)
        except OSError:
            return False
        self.handover.close()
        self.handover = None
        return True


class Launcher:
    """The serving loop. With `host_pids` containers get no pid namespaces but those that they are to join."""

    def __init__(self, request_fd: int, *, host_pids: bool = False) -> None:
        self.host_pids = host_pids
        self.requests = _socket.socket(fileno=request_fd)
        self.own_pid_namespace = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        # Changes of the mount table show as POLLPRI: a spare's copy of it is stale then.
        self.mounts = os.open("/proc/self/mountinfo", os.O_RDONLY | os.O_CLOEXEC)
        self.poll = select.poll()
        self.poll.register(self.requests.fileno(), select.POLLIN)
        self.poll.register(self.mounts, select.POLLPRI)
        self.processes: dict[int, Process] = {}  # by pidfd
        self.controls: dict[int, Process] = {}  # by the control socket's descriptor
        self.supervised: dict[int, tuple[Process, Supervision]] = {}  # by what the supervision waits for
        self.template: tuple[int, list[tuple[Any, ...]]] | None = None
        self.spare: Process | None = None

    def serve(self) -> None:
        """Until the request socket's end. The caller exits, and the kernel kills what is left."""
        while True:
            if self.template is not None and self.spare is None:
                events = self.poll.poll(0)
                if not events:
                    self.spare = self._fork(None)
                    continue
            else:
                events = self.poll.poll()
            ready = dict(events)
            if self.mounts in ready:
                self._drop_spare()
            for fd in ready:
                if fd in self.controls:
                    self._on_control(self.controls[fd])
                elif fd in self.processes:
                    self._on_exit(self.processes[fd])
                elif fd in self.supervised:
                    self._on_supervision(fd, ready[fd])
            if self.requests.fileno() in ready and not self._on_request():
                return

    # -------------------------------------------------------------- requests

    def _on_request(self) -> bool:
        data, ancillary, _, _ = self.requests.recvmsg(1 << 16, _socket.CMSG_SPACE(4 * GIVEN), _socket.MSG_CMSG_CLOEXEC)
        if not data:
            return False
        kind, body = data[:1], data[1:]
        if kind == b"T":
            self.template = marshal.loads(body)
            self._drop_spare()
            return True
        descriptors = received_descriptors(ancillary)
        if len(descriptors) != GIVEN:
            # This process has no descriptors left; the end of the control socket tells it.
            for fd in descriptors:
                os.close(fd)
            return True
        process = supervision = None
        if body.startswith(b"S"):
            supervision, theirs = Supervision.begin()
            descriptors.append(theirs)
        if kind == b"P" and self.spare is not None:
            spare, self.spare = self.spare, None
            if spare.take(descriptors):
                process = spare
        if process is None:
            process = self._fork(descriptors, body.removeprefix(b"S").decode("utf-8", "surrogateescape"))
        control = _socket.socket(fileno=descriptors[3])
        for fd in (*descriptors[:3], *descriptors[4:]):
            os.close(fd)
        if process is None:
            control.close()
            if supervision is not None:
                supervision.end()
            return True
        if supervision is not None:
            process.supervision = supervision
            self._await_supervision(process, supervision)
        process.control = control
        self.controls[control.fileno()] = process
        self.poll.register(control.fileno(), select.POLLIN)
        return True

    def _fork(self, descriptors: list[int] | None, pid_namespace: str = "") -> Process | None:
        """A child in a new pid namespace (or that of a path): with a container's descriptors, or a spare that waits.

        None when the kernel refuses; a container's control socket says why, and no spares are made then.
        """
        mine = theirs = None
        if descriptors is None:
            mine, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
        mark, marked = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK) if self.host_pids else (-1, -1)
        step = "make a pid namespace"
        try:
            if pid_namespace:
                step = f"join the pid namespace {pid_namespace}"
                _join_pid_namespace(pid_namespace)
            elif not self.host_pids:
                sys.unshare(sys.CLONE_NEWPID)
            step = "start a process"
            try:
                pid = os.fork()
                if pid == 0:
                    sys.prctl(sys.PR_SET_PDEATHSIG, SIGKILL)
                    template = self.template
                    if theirs is not None and template is not None:
                        exit_after(lambda: be_spare(theirs, template))
                    exit_after(lambda: be_container(descriptors or [], marked))
            finally:
                # Only children are in the new namespace, and only one shall be.
                if pid_namespace or not self.host_pids:
                    sys.setns(self.own_pid_namespace, sys.CLONE_NEWPID)
        except OSError as error:
            if self.host_pids:
                os.close(mark)
            self.template = None
            if descriptors is not None:
                control = _socket.socket(fileno=os.dup(descriptors[3]))
                send_frame(control, b"E", (step, error.errno, error.strerror))
                control.close()
            return None
        finally:
            if self.host_pids:
                os.close(marked)
        process = Process(pid)
        process.mark = mark
        process.handover = mine
        if theirs is not None:
            theirs.close()
        self.processes[process.pidfd] = process
        self.poll.register(process.pidfd, PIDFD_ENDED)
        return process

    def _drop_spare(self) -> None:
        if self.spare is not None:
            os.kill(self.spare.pid, SIGKILL)
            self.spare = None

    def kill_all(self) -> None:
        """End every container, for a launcher whose own end would not."""
        for process in self.processes.values():
            os.kill(process.pid, SIGKILL)
            os.waitpid(process.pid, 0)
            _kill_rest(process)

    # -------------------------------------------------------------- containers that run

    def _on_control(self, process: Process) -> None:
        control = process.control
        if control is None:
            return
        try:
            signals = control.recv(64)
        except ConnectionError:
            signals = b""
        if not signals:
            self.poll.unregister(control.fileno())
            del self.controls[control.fileno()]
            control.close()
            process.control = None
            signals = bytes((SIGKILL,))
        for number in signals:
            try:
                _signal.pidfd_send_signal(process.pidfd, number)
            except ProcessLookupError:
                return

    def _await_supervision(self, process: Process, supervision: Supervision) -> None:
        self.supervised[supervision.fd] = process, supervision
        self.poll.register(supervision.fd, select.POLLIN)

    def _on_supervision(self, fd: int, events: int) -> None:
        """The next thing that a container's supervision waited for; without it the container must not go on."""
        process, supervision = self.supervised.pop(fd)
        self.poll.unregister(fd)
        if not supervision.advance(events):
            _signal.pidfd_send_signal(process.pidfd, SIGKILL)
        elif supervision.fd >= 0:
            self._await_supervision(process, supervision)

    def _on_exit(self, process: Process) -> None:
        _, status = os.waitpid(process.pid, 0)
        self.poll.unregister(process.pidfd)
        del self.processes[process.pidfd]
        os.close(process.pidfd)
        if process is self.spare:
            self.spare = None
        if process.handover is not None:
            process.handover.close()
        supervision = process.supervision
        if supervision is not None:
            if self.supervised.pop(supervision.fd, None) is not None:
                self.poll.unregister(supervision.fd)
            supervision.end()
        _kill_rest(process)
        control = process.control
        if control is not None:
            self.poll.unregister(control.fileno())
            del self.controls[control.fileno()]
            lost = supervision.lost if supervision is not None else ""
            send_frame(control, b"E", ("go on", 0, lost)) if lost else send_frame(control, b"X", status)
            control.close()


def _join_pid_namespace(path: str) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        sys.setns(fd, sys.CLONE_NEWPID)
    finally:
        os.close(fd)


def _kill_rest(process: Process) -> None:
    """End what is left of a container; a pid namespace has done so already, where there was one."""
    if process.mark < 0:
        return
    try:
        inode = os.read(process.mark, 64)
    except BlockingIOError:
        inode = b""
    os.close(process.mark)
    process.mark = -1
    if inode:
        _kill_in_mount_namespace(int(inode))
