"""The machine's view: one JSON object a line, in the words of BuildKit's `--progress=rawjson` (SolveStatus)."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from base64 import b64encode
from contextlib import AbstractContextManager
from typing import Any, TextIO

from pywerf.report.events import Level, StepState
from pywerf.report.out import Out
from pywerf.report.verbosity import Verbosity, shows

__all__ = ["JsonReporter"]


class JsonReporter:
    """Writes `vertexes`, `statuses`, `logs` and `warnings`.

    A vertex is named by a digest of its number and name; log data is base64; times are RFC 3339 in
    UTC. A message of the level info or debug, which BuildKit has no place for, is `{"messages": […]}`.
    """

    def __init__(self, stream: TextIO, verbosity: Verbosity = "normal") -> None:
        self._out = Out(stream)
        self._verbosity = verbosity
        self._lock = threading.Lock()
        self._vertexes: dict[int, dict[str, Any]] = {}
        self._transfers: dict[tuple[int, str], str] = {}

    def step_started(self, step: int, name: str, *, source: str = "") -> None:
        with self._lock:
            self._write("vertexes", self._vertex(step, name, source))

    def step_output(self, step: int, data: bytes, *, stderr: bool = False) -> None:
        with self._lock:
            self._write(
                "logs",
                {
                    "vertex": self._vertex(step)["digest"],
                    "stream": 2 if stderr else 1,
                    "data": b64encode(data).decode(),
                    "timestamp": _now(),
                },
            )

    def step_progress(self, step: int, what: str, current: int, total: int) -> None:
        with self._lock:
            now = _now()
            status: dict[str, Any] = {"id": what, "vertex": self._vertex(step)["digest"], "current": current}
            if total > 0:
                status["total"] = total
            status["timestamp"] = now
            status["started"] = self._transfers.setdefault((step, what), now)
            if 0 < total <= current:
                status["completed"] = now
            self._write("statuses", status)

    def step_finished(self, step: int, state: StepState, *, error: str = "") -> None:
        with self._lock:
            vertex = self._vertex(step)
            vertex["completed"] = _now()
            if state == "cached":
                vertex["cached"] = True
            elif state in ("failed", "cancelled"):
                vertex["error"] = error or ("context canceled" if state == "cancelled" else "failed")
            self._write("vertexes", vertex)

    def message(self, level: Level, text: str) -> None:
        if not shows(self._verbosity, level):
            return
        with self._lock:
            if level == "warning":
                self._write("warnings", {"level": 1, "short": b64encode(text.encode()).decode()})
            else:
                self._write("messages", {"level": level, "text": text, "timestamp": _now()})

    def suspended(self) -> AbstractContextManager[None]:
        """See util/suspend.py."""
        return self._out.suspended()

    def close(self) -> None:
        """Nothing is pending: every event was written when it came."""

    def _vertex(self, step: int, name: str = "", source: str = "") -> dict[str, Any]:
        vertex = self._vertexes.get(step)
        if vertex is None:
            name = name or f"step {step}"
            digest = hashlib.sha256(f"{step} {name}".encode()).hexdigest()
            vertex = self._vertexes[step] = {"digest": f"sha256:{digest}", "name": name, "started": _now()}
            if source:
                vertex["source"] = source
        return vertex

    def _write(self, kind: str, item: dict[str, Any]) -> None:
        self._out.lines([json.dumps({kind: [item]}, ensure_ascii=False, separators=(",", ":"))])


def _now() -> str:
    nanoseconds = time.time_ns()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(nanoseconds // 10**9))
    return f"{stamp}.{nanoseconds % 10**9:09d}Z"
