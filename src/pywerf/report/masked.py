"""Keeps secrets out of what the commands of steps print, and of everything else that is told."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager

from pywerf.report.events import Level, Reporter, StepState
from pywerf.util.suspend import suspended

__all__ = ["MaskedReporter", "maskable"]

MASK = b"***"
SHORTEST = 4
"""Bytes; shorter secrets are in every second word, and nobody who sees `***` in their place learns less."""


def maskable(text: str) -> list[bytes]:
    """What of a secret is looked for: its lines, as output comes in lines."""
    lines = text.encode("utf-8", "surrogateescape").splitlines()
    return [line.strip() for line in lines if len(line.strip()) >= SHORTEST]


class MaskedReporter:
    """Passes every event on to `view`, with `***` in the place of secrets.

    Output comes in pieces: one that ends like a secret begins waits for the next one, or for the end of its step.
    """

    def __init__(self, view: Reporter, secrets: Sequence[str]) -> None:
        self._view = view
        found = {part for secret in secrets for part in maskable(secret)}
        self._secrets = sorted(found, key=lambda part: (-len(part), part))  # one may be in another
        self._held: dict[tuple[int, bool], bytes] = {}
        self._lock = threading.Lock()

    def step_started(self, step: int, name: str, *, source: str = "") -> None:
        """Reporter."""
        self._view.step_started(step, self._hide(name), source=source)

    def step_output(self, step: int, data: bytes, *, stderr: bool = False) -> None:
        """Reporter."""
        with self._lock:
            data = self._masked(self._held.pop((step, stderr), b"") + data)
            keep = self._begun(data)
            if keep:
                self._held[step, stderr] = data[-keep:]
                data = data[:-keep]
        if data:
            self._view.step_output(step, data, stderr=stderr)

    def step_progress(self, step: int, what: str, current: int, total: int) -> None:
        """Reporter."""
        self._view.step_progress(step, what, current, total)

    def step_finished(self, step: int, state: StepState, *, error: str = "") -> None:
        """Reporter."""
        with self._lock:
            left = [(stderr, held) for stderr in (False, True) if (held := self._held.pop((step, stderr), b""))]
        for stderr, held in left:
            self._view.step_output(step, held, stderr=stderr)
        self._view.step_finished(step, state, error=self._hide(error))

    def message(self, level: Level, text: str) -> None:
        """Reporter."""
        self._view.message(level, self._hide(text))

    def suspended(self) -> AbstractContextManager[object]:
        """See util/suspend.py."""
        return suspended(self._view)

    def close(self) -> None:
        """Reporter."""
        self._view.close()

    def _hide(self, text: str) -> str:
        return self._masked(text.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")

    def _masked(self, data: bytes) -> bytes:
        for secret in self._secrets:
            if secret in data:
                data = data.replace(secret, MASK)
        return data

    def _begun(self, data: bytes) -> int:
        """How many bytes at the end may be the beginning of a secret."""
        longest = 0
        for secret in self._secrets:
            for size in range(min(len(secret) - 1, len(data)), longest, -1):
                if data.endswith(secret[:size]):
                    longest = size
                    break
        return longest
