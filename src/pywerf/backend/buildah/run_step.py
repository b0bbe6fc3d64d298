"""RUN: a container on a writable snapshot; its layer is hashed while the next step already runs."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable

from pywerf.backend.buildah.running import Running
from pywerf.errors import ContainerFailed
from pywerf.isolation.spec import ContainerSpec, Isolation
from pywerf.util.exit_status import ending, status_hint

__all__ = ["run_container"]

_TAIL_BYTES = 16 << 10


def run_container(
    isolation: Isolation,
    spec: ContainerSpec,
    running: Running,
    output: Callable[[bytes, bool], None],
    shown: str,
    stdin: bytes = b"",
) -> tuple[str, ...]:
    """Run a container to its end, its output passed on as it comes; returns the mount points that it left.

    Raises ContainerFailed with the last of the output when its status is not 0; `shown` is the command for people.
    """
    pipes: list[int] = []
    tail = _Tail()
    try:
        out_read, out_write = os.pipe2(os.O_CLOEXEC)
        pipes += [out_read, out_write]
        err_read, err_write = os.pipe2(os.O_CLOEXEC)
        pipes += [err_read, err_write]
        null = _stdin(stdin)
        pipes.append(null)
        container = isolation.start(spec, null, out_write, err_write)
        running.add(container)
        try:
            for fd in (out_write, err_write, null):
                os.close(fd)
                pipes.remove(fd)
            _pump(out_read, err_read, output, tail)
            result = container.wait()
        except BaseException:
            container.kill()
            container.wait()
            raise
        finally:
            running.discard(container)
    finally:
        for fd in pipes:
            os.close(fd)
    if result.status:
        raise ContainerFailed(
            f"{shown}: {ending(result.status)}",
            status=result.status,
            output=tail.text(),
            hint=status_hint(result.status),
        )
    return result.created


def _pump(out: int, err: int, output: Callable[[bytes, bool], None], tail: _Tail) -> None:
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
                tail.add(data)
                output(data, fd == err)
            else:
                poll.unregister(fd)
                open_pipes -= 1


def _stdin(data: bytes) -> int:
    """A descriptor to read `data` from: /dev/null, or an anonymous file (memfd_create(2))."""
    if not data:
        return os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    fd = os.memfd_create("stdin", os.MFD_CLOEXEC)
    os.write(fd, data)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


class _Tail:
    """The last of an output, a few KiB of it."""

    def __init__(self) -> None:
        self._chunks: deque[bytes] = deque()
        self._size = 0

    def add(self, data: bytes) -> None:
        self._chunks.append(data)
        self._size += len(data)
        while self._size - len(self._chunks[0]) > _TAIL_BYTES:
            self._size -= len(self._chunks.popleft())

    def text(self) -> str:
        return b"".join(self._chunks)[-_TAIL_BYTES:].decode("utf-8", "replace")
