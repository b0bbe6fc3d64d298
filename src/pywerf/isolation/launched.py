"""Containers that the launcher starts, as this side sees them: control sockets (see `pywerf.linux.child`)."""

from __future__ import annotations

import os
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pywerf.errors import IsolationError
from pywerf.isolation.launcher import Launcher
from pywerf.isolation.plan import needs_cgroup
from pywerf.isolation.spec import ContainerResult, ContainerSpec
from pywerf.linux.mount import Mount

if TYPE_CHECKING:
    import socket
    from typing import Self

    from pywerf.isolation.cgroup_dirs import Cgroups

__all__ = ["Frames", "LaunchedContainer", "LaunchingIsolation", "exit_status"]

Failed = Callable[[str, int, str], IsolationError]

ENDED = "go on"  # the step of an error that is about a container which ran
_LOST = "it was killed, or it failed: its own words stand above"

HEADER = 5  # a frame's kind and length
CHUNK = 1 << 14
DESCRIPTOR = 4  # the bytes of one in a message (cmsg(3))
SIGKILL = 9


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
            # Not socket.recv_fds, which takes the flags and forgets them (Python 3.11): what other threads start
            # would inherit the terminal.
            space = socket.CMSG_SPACE(DESCRIPTOR)
            data, ancillary, _, _ = self._control.recvmsg(CHUNK, space, socket.MSG_CMSG_CLOEXEC)
            self._data += data
            self._descriptors += [int.from_bytes(sent[:DESCRIPTOR], sys.byteorder) for _, _, sent in ancillary]
            if not data:
                raise IsolationError(
                    "the launcher ended, and the container with it",
                    hint="it was killed: look for the kernel's out-of-memory messages",
                )


class LaunchedContainer:
    """A started container. `console` is its terminal's master side, which the container owns, or None.

    `failed` makes an error of what went wrong: (step, errno, text). `ended` is called once when it has ended.
    """

    def __init__(
        self,
        control: socket.socket,
        frames: Frames,
        created: tuple[str, ...],
        console: int | None,
        failed: Failed,
        ended: Callable[[], None] | None = None,
    ) -> None:
        self._control = control
        self._frames = frames
        self._created = created
        self._failed = failed
        self._result: ContainerResult | None = None
        self._failure: IsolationError | None = None
        self._waiting = threading.Lock()
        self._closing = threading.Lock()
        self.console = console
        self._ended = ended

    def wait(self) -> ContainerResult:
        """See Container.wait."""
        with self._waiting:
            if self._failure is not None:
                raise self._failure
            if self._result is None:
                try:
                    kind, value, _ = self._frames.receive()
                    if kind == b"E":
                        step, number, text = value
                        if step == ENDED:
                            raise IsolationError(f"the container was ended: {text}", hint=_LOST)
                        raise self._failed(step, number, text)
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


class LaunchingIsolation(ABC):
    """An Isolation whose containers the launcher starts: what chroot and OCI isolation have in common."""

    def __init__(self, *, spares: bool = True) -> None:
        """Without `spares` no process gets ready for a container that is not known yet."""
        self._launcher = Launcher()
        self._launcher.start()
        self._host_launcher: Launcher | None = None
        self._cgroups: Cgroups | None = None
        self._lock = threading.Lock()
        if spares:
            ordinary = ContainerSpec(rootfs=Mount("bind", "/"), argv=("true",))
            self._launcher.prepare(*self._template(ordinary))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    @abstractmethod
    def name(self) -> str:
        """See Isolation.name."""

    @abstractmethod
    def _template(self, spec: ContainerSpec) -> tuple[int, list[tuple[Any, ...]]]:
        """What most containers share of a plan (see Launcher.prepare)."""

    @abstractmethod
    def _plan(self, spec: ContainerSpec, cgroups: tuple[str, ...], stdin: int) -> dict[str, Any]:
        """The plan of a container that joins `cgroups`. Raises IsolationError for what cannot be done."""

    @abstractmethod
    def _failed(self, plan: dict[str, Any], step: str, number: int, text: str) -> IsolationError:
        """The error of a container that could not be made."""

    def start(self, spec: ContainerSpec, stdin: int, stdout: int, stderr: int) -> LaunchedContainer:
        """See Isolation.start."""
        plan = self._plan(spec, (), stdin)  # what cannot be done is said before anything is made
        if not needs_cgroup(spec):
            return self._start(plan, stdin, stdout, stderr, None)
        cgroups = self._own_cgroups().make(spec.resources, spec.cgroup_parent)
        try:
            return self._start(self._plan(spec, cgroups.joined, stdin), stdin, stdout, stderr, cgroups.remove)
        except BaseException:
            cgroups.remove()
            raise

    def _start(
        self, plan: dict[str, Any], stdin: int, stdout: int, stderr: int, ended: Callable[[], None] | None
    ) -> LaunchedContainer:
        launcher = self._launcher if plan["pid"] == "private" else self._launcher_in_host_pids()
        control = launcher.request(plan, stdin, stdout, stderr)

        def failed(step: str, number: int, text: str) -> IsolationError:
            return self._failed(plan, step, number, text)

        try:
            frames = Frames(control)
            kind, value, console = frames.receive()
            if kind == b"R":
                return LaunchedContainer(control, frames, tuple(value), console, failed, ended)
            if kind == b"E":
                raise failed(*value)
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
        """See Isolation.close."""
        self._launcher.close()
        if self._host_launcher is not None:
            self._host_launcher.close()


def exit_status(wait_status: int) -> int:
    """The exit code, or 128 + N for signal N, of a wait status."""
    code = os.waitstatus_to_exitcode(wait_status)
    return code if code >= 0 else 128 - code
