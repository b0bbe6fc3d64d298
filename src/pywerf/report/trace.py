"""The time line of a build as a file in Chrome's trace event format, for chrome://tracing and ui.perfetto.dev.

Format: "Trace Event Format" of the Chromium project, JSON object form. Steps and the work behind them (hashing,
unpacking) are slices on the threads that did them; transfers, which overlap, are asynchronous slices.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from pywerf.errors import WerfError
from pywerf.report.events import Level, Reporter, StepState
from pywerf.util.suspend import suspended

__all__ = ["TraceReporter"]


class TraceReporter:
    """Passes every event on to `view`, and keeps what the time line needs. It is written by `close`."""

    def __init__(self, view: Reporter, path: str) -> None:
        try:
            self._file = open(path, "w", encoding="utf-8", errors="replace")  # noqa: SIM115  # closed by close()
        except OSError as error:
            raise WerfError(f"--trace {path}: {error.strerror}") from error
        self._view = view
        self._path = path
        self._lock = threading.Lock()
        self._events: list[dict[str, Any]] = []
        self._threads: dict[tuple[int, str], int] = {}
        self._steps: dict[int, tuple[str, str, float, int]] = {}
        self._transfers: dict[tuple[int, str], tuple[int, bool]] = {}
        self._began = time.perf_counter()
        self._closed = False
        self._pid = os.getpid()
        self._note("process_name", 0, name="werf")

    def step_started(self, step: int, name: str, *, source: str = "") -> None:
        with self._lock:
            self._steps[step] = (name, source, self._now(), self._thread())
        self._view.step_started(step, name, source=source)

    def step_output(self, step: int, data: bytes, *, stderr: bool = False) -> None:
        self._view.step_output(step, data, stderr=stderr)

    def step_progress(self, step: int, what: str, current: int, total: int) -> None:
        with self._lock:
            number, ended = self._transfers.get((step, what), (0, False))
            if not number:
                number = len(self._transfers) + 1
                self._add(ph="b", cat="transfer", name=what, id=number, args={"bytes": total})
            if 0 < total <= current and not ended:
                ended = True
                self._add(ph="e", cat="transfer", name=what, id=number, args={"bytes": current})
            self._transfers[step, what] = (number, ended)
        self._view.step_progress(step, what, current, total)

    def step_finished(self, step: int, state: StepState, *, error: str = "") -> None:
        with self._lock:
            self._end_step(step, state, error)
        self._view.step_finished(step, state, error=error)

    def message(self, level: Level, text: str) -> None:
        with self._lock:
            self._add(ph="i", cat="message", name=text, s="p", args={"level": level})
        self._view.message(level, text)

    @contextmanager
    def span(self, kind: str, name: str) -> Iterator[None]:
        """Work behind the steps, drawn on the thread that does it. `kind` is hash, pull, unpack, push …"""
        with self._lock:
            began = self._now()
        try:
            yield
        finally:
            with self._lock:
                self._add(ph="X", cat=kind, name=f"{kind} {name}", ts=began, dur=self._now() - began)

    def suspended(self) -> AbstractContextManager[object]:
        """See util/suspend.py."""
        return suspended(self._view)

    def close(self) -> None:
        self._view.close()
        with self._lock:
            if self._closed:
                return
            self._closed = True
            for step in list(self._steps):
                self._end_step(step, "cancelled", "")
            for (_, what), (number, ended) in self._transfers.items():
                if not ended:
                    self._add(ph="e", cat="transfer", name=what, id=number)
            document = {"traceEvents": self._events, "displayTimeUnit": "ms"}
        try:
            with self._file as file:
                json.dump(document, file, separators=(",", ":"))
        except OSError as error:
            raise WerfError(f"--trace {self._path}: {error.strerror}") from error

    def _end_step(self, step: int, state: StepState, error: str) -> None:
        known = self._steps.pop(step, None)
        if known is None:
            return
        name, source, began, thread = known
        args = {key: value for key, value in (("state", state), ("source", source), ("error", error)) if value}
        self._add(ph="X", cat="step", name=name, ts=began, dur=self._now() - began, tid=thread, args=args)

    def _now(self) -> float:
        """Microseconds since the beginning."""
        return round((time.perf_counter() - self._began) * 1e6, 1)

    def _thread(self) -> int:
        """A small number for this thread; its name is noted with the first one."""
        name = threading.current_thread().name
        key = (threading.get_ident(), name)  # the system gives the numbers of threads that ended to new ones
        number = self._threads.get(key)
        if number is None:
            number = self._threads[key] = len(self._threads) + 1
            self._note("thread_name", number, name="main" if name == "MainThread" else name)
        return number

    def _note(self, what: str, thread: int, **args: str) -> None:
        self._events.append({"ph": "M", "name": what, "pid": self._pid, "tid": thread, "args": args})

    def _add(self, **event: Any) -> None:
        event.setdefault("ts", self._now())
        event["pid"] = self._pid
        if "tid" not in event:
            event["tid"] = self._thread()
        self._events.append(event)
