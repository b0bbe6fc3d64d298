"""A plain view of several things at once whose lines stay together: a block for each.

    blocks = BlockReporter(plain)
    with blocks.block():          # on the thread of one image
        blocks.message(…)         # and all steps that begin here, or on threads that this one starts

The block that began first is written as it comes; what the others have to say waits until it is their turn.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar

from pywerf.report.events import Level, StepState
from pywerf.report.plain import PlainReporter

__all__ = ["BlockReporter"]


class BlockReporter:
    """Reporter. A thread belongs to the block in which it was started, if its starter hands on its context."""

    def __init__(self, plain: PlainReporter) -> None:
        self._plain = plain
        self._lock = threading.RLock()
        self._open: list[_Part] = []  # the first one writes, the others wait
        self._steps: dict[int, _Part] = {}

    @contextmanager
    def block(self) -> Iterator[None]:
        """What is told within belongs together."""
        part = _Part(self._lock, self._plain)
        with self._lock:
            self._open.append(part)
            self._let_write()
        token = _current.set(part)
        try:
            yield
        finally:
            _current.reset(token)
            part.view.close()
            with self._lock:
                part.ended = True
                self._let_write()

    def _let_write(self) -> None:
        while self._open:
            self._open[0].write_on()
            if not self._open[0].ended:
                return
            self._open.pop(0)

    def _view(self, step: int | None = None) -> PlainReporter:
        part = self._steps.get(step) if step is not None else _current.get()
        return self._plain if part is None else part.view

    def step_started(self, step: int, name: str, *, source: str = "") -> None:
        """Reporter."""
        part = _current.get()
        if part is not None:
            self._steps[step] = part
        self._view(step).step_started(step, name, source=source)

    def step_output(self, step: int, data: bytes, *, stderr: bool = False) -> None:
        """Reporter."""
        self._view(step).step_output(step, data, stderr=stderr)

    def step_progress(self, step: int, what: str, current: int, total: int) -> None:
        """Reporter."""
        self._view(step).step_progress(step, what, current, total)

    def step_finished(self, step: int, state: StepState, *, error: str = "") -> None:
        """Reporter."""
        self._view(step).step_finished(step, state, error=error)

    def message(self, level: Level, text: str) -> None:
        """Reporter."""
        self._view().message(level, text)

    def suspended(self) -> AbstractContextManager[None]:
        """See util/suspend.py."""
        return self._plain.out.suspended()

    def close(self) -> None:
        """Reporter. Blocks that are still open are written as far as they have come."""
        with self._lock:
            for part in self._open:
                part.view.close()
                part.ended = True
            self._let_write()
        self._plain.close()


class _Part:
    """A block: its own view, whose text waits until it may be written."""

    def __init__(self, lock: threading.RLock, plain: PlainReporter) -> None:
        self._lock = lock
        self._out = plain.out
        self._waiting: list[str] | None = []
        self.ended = False
        self.view = plain.onto(self)

    def write(self, text: str) -> None:
        """What the view writes to."""
        with self._lock:
            if self._waiting is not None:
                self._waiting.append(text)
            else:
                self._out.write(text)

    def flush(self) -> None:
        """Nothing: what may be written is written at once."""

    def write_on(self) -> None:
        """From now on nothing waits."""
        if self._waiting is not None:
            texts, self._waiting = self._waiting, None
            self._out.write("".join(texts))


_current: ContextVar[_Part | None] = ContextVar("block", default=None)
