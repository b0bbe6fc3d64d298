"""The steps of a build at the daemon, told to the reporter under the numbers that it knows."""

from __future__ import annotations

import threading
from collections.abc import Callable

from pywerf.util.events import Reporter, StepState

__all__ = ["Steps"]


class Steps:
    """Steps by a key of the builder's own (a name, a digest). What is told of a finished step is dropped."""

    def __init__(self, reporter: Reporter, next_step: Callable[[], int]) -> None:
        self.reporter = reporter
        self._next = next_step
        self._lock = threading.Lock()  # the context is sent by other threads than the one that reads the answers
        self._numbers: dict[str, int] = {}
        self._open: dict[str, int] = {}

    def fresh(self) -> Steps:
        """For another build, whose steps are others though they have the same keys."""
        return Steps(self.reporter, self._next)

    def start(self, key: str, name: str, *, source: str = "") -> None:
        """Introduce a step, or begin one again that had ended. Idempotent while it is open."""
        with self._lock:
            if key in self._open:
                return
            number = self._numbers.get(key) or self._next()
            self._numbers[key] = self._open[key] = number
        self.reporter.step_started(number, name, source=source)

    def output(self, key: str, data: bytes, *, stderr: bool = False) -> None:
        """Output of an open step."""
        number = self._open.get(key)
        if number is not None:
            self.reporter.step_output(number, data, stderr=stderr)

    def progress(self, key: str, what: str, current: int, total: int) -> None:
        """How far a transfer of an open step is."""
        number = self._open.get(key)
        if number is not None:
            self.reporter.step_progress(number, what, current, total)

    def finish(self, key: str, state: StepState, *, error: str = "") -> None:
        """End a step; nothing for one that is not open."""
        with self._lock:
            number = self._open.pop(key, None)
        if number is not None:
            self.reporter.step_finished(number, state, error=error)

    def finish_all(self, state: StepState) -> None:
        """End what is still open."""
        for key in list(self._open):
            self.finish(key, state)
