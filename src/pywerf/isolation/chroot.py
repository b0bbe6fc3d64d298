"""Chroot isolation: containers as plain children in private namespaces, through the launcher, without a runtime."""

from __future__ import annotations

import errno
import os
import threading
from typing import TYPE_CHECKING, Any

from pywerf.errors import IsolationError
from pywerf.isolation.launcher import Launcher
from pywerf.isolation.plan import HostFacts, host_facts, make_plan, make_template, needs_cgroup
from pywerf.isolation.spec import ContainerResult, ContainerSpec
from pywerf.linux.mount import Mount

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from pywerf.isolation.cgroup_dirs import Cgroups

__all__ = ["ChrootContainer", "ChrootIsolation", "Frames", "exit_status", "setup_failed"]

HEADER = 5  # a frame's kind and length
CHUNK = 1 << 14
SIGKILL = 9
_LOST = "it was killed, or it failed: its own words stand above"


class Frames:
    """Reads the frames of a control socket; an interrupted `receive` loses nothing and may be repeated."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._data = bytearray()
        self._descriptors: list[int] = []

    def receive(self) -> tuple[bytes, Any, int | None]:
        """One frame: its kind, its value, and the descriptor that came with it. Raises IsolationError at the end."""
        import marshal
        import socket

        while True:
            end = HEADER + int.from_bytes(self._data[1:HEADER], "little")
            if len(self._data) >= max(HEADER, end):
                frame = bytes(self._data[:end])
                del self._data[:end]
                descriptor = self._descriptors.pop() if self._descriptors else None
                return frame[:1], marshal.loads(frame[HEADER:]), descriptor
            data, descriptors, _, _ = socket.recv_fds(self._control, CHUNK, 1, socket.MSG_CMSG_CLOEXEC)
            self._data += data
            self._descriptors += descriptors
            if not data:
                raise IsolationError(
                    "the launcher ended, and the container with it",
                    hint="it was killed: look for the kernel's out-of-memory messages",
                )


class ChrootContainer:
    """A started container. `console` is its terminal's master side, which the container owns, or None.

    `ended` is called once when it has ended.
    """

    def __init__(
        self,
        control: socket.socket,
        frames: Frames,
        created: tuple[str, ...],
        console: int | None,
        ended: Callable[[], None] | None = None,
    ) -> None:
        self._control = control
        self._frames = frames
        self._created = created
        self._result: ContainerResult | None = None
        self._failure: IsolationError | None = None
        self._waiting = threading.Lock()
        self._closing = threading.Lock()
        self.console = console
        self._ended = ended

    def wait(self) -> ContainerResult:
        """See Container.wait. Raises IsolationError when the launcher was killed meanwhile."""
        with self._waiting:
            if self._failure is not None:
                raise self._failure
            if self._result is None:
                try:
                    kind, value, _ = self._frames.receive()
                    if kind == b"E":
                        raise IsolationError(f"the container was ended: {value[2]}", hint=_LOST)
                    self._result = ContainerResult(exit_status(value), self._created)
                except IsolationError as error:
                    self._failure = error
                    raise
                finally:
                    if self._result is not None or self._failure is not None:
                        with self._closing:
                            self._control.close()
                        self._end()
            return self._result

    def _end(self) -> None:
        if self._ended is not None:
            ended, self._ended = self._ended, None
            ended()

    def kill(self, signum: int = SIGKILL) -> None:
        """See Container.kill."""
        with self._closing:
            if self._control.fileno() < 0:
                return
            try:
                self._control.send(bytes((signum,)))
            except ConnectionError:
                return  # it has ended; wait() tells how

    def __del__(self) -> None:
        # Nobody waits: the end of the control socket kills the container.
        self._control.close()
        if self.console is not None:
            os.close(self.console)
        self._end()


class ChrootIsolation:
    """Containers in namespaces of their own on the host's network (or none). Needs CAP_SYS_ADMIN.

    The launcher is started by the constructor and gets ready meanwhile; make this early.
    """

    def __init__(self, facts: HostFacts | None = None) -> None:
        self._facts = facts or host_facts()
        self._launcher = Launcher()
        self._launcher.start()
        self._host_launcher: Launcher | None = None
        self._cgroups: Cgroups | None = None
        self._lock = threading.Lock()
        ordinary = ContainerSpec(rootfs=Mount("bind", "/"), argv=("true",))
        self._launcher.prepare(*make_template(ordinary, self._facts))

    def __enter__(self) -> ChrootIsolation:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def name(self) -> str:
        return "chroot"

    def start(self, spec: ContainerSpec, stdin: int, stdout: int, stderr: int) -> ChrootContainer:
        """See Isolation.start. With `spec.terminal` it uses a terminal of its own: see `console`."""
        if not needs_cgroup(spec):
            return self._start(make_plan(spec, self._facts), stdin, stdout, stderr, None)
        make_plan(spec, self._facts)  # what cannot be done is said before anything is made
        cgroups = self._own_cgroups().make(spec.resources, spec.cgroup_parent)
        try:
            plan = make_plan(spec, self._facts, cgroups.joined)
            return self._start(plan, stdin, stdout, stderr, cgroups.remove)
        except BaseException:
            cgroups.remove()
            raise

    def _start(
        self, plan: dict[str, Any], stdin: int, stdout: int, stderr: int, ended: Callable[[], None] | None
    ) -> ChrootContainer:
        launcher = self._launcher if plan["pid"] == "private" else self._launcher_in_host_pids()
        control = launcher.request(plan, stdin, stdout, stderr)
        try:
            frames = Frames(control)
            kind, value, console = frames.receive()
            if kind == b"R":
                return ChrootContainer(control, frames, tuple(value), console, ended)
            if kind == b"E":
                raise setup_failed(*value)
            raise IsolationError(
                f"the container ended with status {exit_status(value)} before it was set up",
                hint=None if ended is None else "--memory is too small for a container, which needs some megabytes",
            )
        except BaseException:
            control.close()
            raise

    def _launcher_in_host_pids(self) -> Launcher:
        """For containers without a pid namespace of their own: the launcher's own one would be around them."""
        with self._lock:
            if self._host_launcher is None:
                self._host_launcher = Launcher(host_pids=True)
                self._host_launcher.start()
            return self._host_launcher

    def _own_cgroups(self) -> Cgroups:
        with self._lock:
            if self._cgroups is None:
                from pywerf.isolation.cgroup_dirs import Cgroups

                self._cgroups = Cgroups(self._launcher.note_cgroup)
            return self._cgroups

    def close(self) -> None:
        self._launcher.close()
        if self._host_launcher is not None:
            self._host_launcher.close()


def exit_status(wait_status: int) -> int:
    """The exit code, or 128 + N for signal N, of a wait status."""
    code = os.waitstatus_to_exitcode(wait_status)
    return code if code >= 0 else 128 - code


def setup_failed(step: str, number: int, text: str) -> IsolationError:
    """The error for an E frame: a step that failed in the launcher's children."""
    hint = None
    if number == errno.EPERM:
        hint = "chroot isolation needs root with CAP_SYS_ADMIN; `werf host doctor` shows what this machine can do"
    elif number == errno.ENOSYS:
        hint = "chroot isolation needs Linux 5.12 or newer"
    return IsolationError(f"cannot {step}: {text}", hint=hint)
