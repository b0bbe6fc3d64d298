"""The quiet view: warnings and errors only, and the last output of what failed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from pywerf.report.events import Level, StepState
from pywerf.report.plain import message_line
from pywerf.report.steps import Steps, failure_tail
from pywerf.report.text import clean
from pywerf.report.verbosity import Verbosity, shows

__all__ = ["QuietReporter"]


class QuietReporter:
    """Says nothing while all goes well."""

    def __init__(self, stream: TextIO, verbosity: Verbosity = "quiet", *, color: bool = False) -> None:
        self._stream = stream
        self._verbosity = verbosity
        self._color = color
        self._lock = threading.Lock()
        self._steps = Steps()
        self._closed = False
        self._held: list[str] | None = None  # while suspended

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
            self._write([message_line(level, text, self._color)])

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """See util/suspend.py."""
        self._held = []
        try:
            yield
        finally:
            held, self._held = self._held, None
            self._write(held)

    def close(self) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = True
            tail = failure_tail(self._steps)
        self._write(tail)

    def _write(self, lines: list[str]) -> None:
        if not lines:
            return
        if self._held is not None:
            self._held.extend(lines)
            return
        try:
            self._stream.write("\n".join(lines) + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            # Who read us is gone; nothing that is shown may decide the outcome of a build.
            self._closed = True
