"""RUN: a container on a writable snapshot; its layer is hashed while the next step already runs."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable

from pywerf.backend.buildah.running import Running
from pywerf.errors import ContainerFailed, RuntimeFailed
from pywerf.isolation.spec import ContainerResult, ContainerSpec, Isolation
from pywerf.util.exit_status import ending, status_hint

__all__ = ["run_container"]

_TAIL_BYTES = 16 << 10
_ERROR_BYTES = 4 << 10
_ERROR_LINES = 2


def run_container(
    isolation: Isolation,
    spec: ContainerSpec,
    running: Running,
    output: Callable[[bytes, bool], None],
    shown: str,
    stdin: bytes | int = b"",
) -> tuple[str, ...]:
    """Run a container to its end, its output passed on as it comes; returns the mount points that it left.

    Raises ContainerFailed with the last of the output when its status is not 0; `shown` is the command for people.
    `stdin` is what it reads, or a descriptor to read from, which stays the caller's.
    """
    streams = _Streams(stdin)
    told = _Told(output)
    try:
        result = _run(isolation, spec, running, streams, told)
    except RuntimeFailed as error:
        error.explain(told.first_errors())
        raise
    finally:
        streams.close()
    if result.status:
        raise ContainerFailed(
            f"{shown}: {ending(result.status)}",
            status=result.status,
            output=told.tail(),
            hint=status_hint(result.status),
        )
    return result.created


def _run(
    isolation: Isolation, spec: ContainerSpec, running: Running, streams: _Streams, told: _Told
) -> ContainerResult:
    try:
        container = isolation.start(spec, *streams.given)
    except RuntimeFailed:
        streams.pump(told)
        raise
    running.add(container)
    try:
        streams.pump(told)
        return container.wait()
    except BaseException:
        container.kill()
        container.wait()
        raise
    finally:
        running.discard(container)


class _Streams:
    """A container's standard streams: `given` are its own (input, output, error)."""

    def __init__(self, stdin: bytes | int) -> None:
        self._open: list[int] = []
        try:
            self._out, out = self._pipe()
            self._err, err = self._pipe()
            source = _stdin(stdin)
            self._open.append(source)
        except BaseException:
            self.close()
            raise
        self.given = (source, out, err)

    def _pipe(self) -> tuple[int, int]:
        ends = os.pipe2(os.O_CLOEXEC)
        self._open += ends
        return ends

    def pump(self, told: _Told) -> None:
        """Pass on what comes, until nobody can write any more; the container's ends are closed here."""
        for fd in self.given:
            os.close(fd)
            self._open.remove(fd)
        _pump(self._out, self._err, told.add)

    def close(self) -> None:
        """Idempotent."""
        while self._open:
            os.close(self._open.pop())


def _pump(out: int, err: int, output: Callable[[bytes, bool], None]) -> None:
    """Read both pipes until both have ended."""
    import select

    poll = select.poll()
    poll.register(out, select.POLLIN)
    poll.register(err, select.POLLIN)
    open_pipes = 2
    while open_pipes:
        for fd, _ in poll.poll():
            data = os.read(fd, 1 << 16)
            if data:
                output(data, fd == err)
            else:
                poll.unregister(fd)
                open_pipes -= 1


def _stdin(data: bytes | int) -> int:
    """A descriptor to read `data` from: a copy of that one, /dev/null, or an anonymous file (memfd_create(2))."""
    if isinstance(data, int):
        return os.dup(data)
    if not data:
        return os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    fd = os.memfd_create("stdin", os.MFD_CLOEXEC)
    os.write(fd, data)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


class _Told:
    """What came of a container is passed on; the last of it, and the first errors, are kept."""

    def __init__(self, output: Callable[[bytes, bool], None]) -> None:
        self._output = output
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._errors = b""

    def add(self, data: bytes, stderr: bool) -> None:
        self._chunks.append(data)
        self._size += len(data)
        while self._size - len(self._chunks[0]) > _TAIL_BYTES:
            self._size -= len(self._chunks.popleft())
        if stderr and len(self._errors) < _ERROR_BYTES:
            self._errors += data[:_ERROR_BYTES]
        self._output(data, stderr)

    def tail(self) -> str:
        return b"".join(self._chunks)[-_TAIL_BYTES:].decode("utf-8", "replace")

    def first_errors(self) -> str:
        """As one line: a program that fails says why, and then how it is used."""
        lines = self._errors.decode("utf-8", "replace").splitlines()
        return "; ".join([line.strip() for line in lines if line.strip()][:_ERROR_LINES])
