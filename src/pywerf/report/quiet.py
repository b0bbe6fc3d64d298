"""The quiet view: warnings and errors only, and the last output of what failed."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager
from typing import TextIO

from pywerf.report.events import Level, StepState
from pywerf.report.out import Out
from pywerf.report.plain import message_line
from pywerf.report.steps import Steps, failure_tail
from pywerf.report.text import clean
from pywerf.report.verbosity import Verbosity, shows

__all__ = ["QuietReporter"]


class QuietReporter:
    """Says nothing while all goes well."""

    def __init__(self, stream: TextIO, verbosity: Verbosity = "quiet", *, color: bool = False) -> None:
        self._out = Out(stream)
        self._verbosity = verbosity
        self._color = color
        self._lock = threading.Lock()
        self._steps = Steps()
        self._closed = False

    def step_started(self, step: int, name: str, *, source: str = "") -> None:
        with self._lock:
            self._steps.start(step, clean(name), clean(source), 0.0)

    def step_output(self, step: int, data: bytes, *, stderr: bool = False) -> None:
        with self._lock:
            self._steps.get(step, 0.0).output.feed(data)

    def step_progress(self, step: int, what: str, current: int, total: int) -> None:
        """Nothing: a quiet view has no progress."""

    def step_finished(self, step: int, state: StepState, *, error: str = "") -> None:
        with self._lock:
            known = self._steps.get(step, 0.0)
            known.output.finish()
            known.state, known.error = state, error

    def message(self, level: Level, text: str) -> None:
        if shows("debug" if self._verbosity == "debug" else "quiet", level):
            self._out.lines([message_line(level, text, self._color)])

    def suspended(self) -> AbstractContextManager[None]:
        """See util/suspend.py."""
        return self._out.suspended()

    def close(self) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = True
            tail = failure_tail(self._steps)
        self._out.lines(tail)
