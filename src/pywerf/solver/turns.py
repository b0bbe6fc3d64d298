"""Takes turns at steps that several builds want at the same time: one does it, the others wait and use its result.

Two locks lead to one step. The gate is named after what can be told for nothing: what was asked, and the shape of
the files of a COPY. The key lock is named after the cache key, which is known later, since a build runs ahead of its
own hashing. Who is through the gate goes to work, finds out its key meanwhile, takes the key lock and opens the gate
for the next, who sees that somebody is at the same definition, works out its own key, and waits only if that is
the same.

Nobody waits for a lock while holding a key lock, or while holding a gate for longer than another's hashing takes,
so that no circle can come about. A process that dies lets go of everything (flock(2)).
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from pywerf.errors import BuildStopped
from pywerf.util.events import Reporter

if TYPE_CHECKING:
    from pywerf.graph.vertex import Vertex
    from pywerf.store.step_locks import StepLock, StepLocks

__all__ = ["Turn", "Turns"]

_FIRST_PAUSE = 0.002  # seconds
_LONGEST_PAUSE = 0.05
_TELL_AFTER = 0.5


class Turn:
    """The right to do one step. `contended`: somebody else was, or is, at the same definition."""

    __slots__ = ("_gate", "_lock", "_turns", "contended", "vertex")

    def __init__(self, turns: Turns, vertex: Vertex, gate: StepLock, *, contended: bool) -> None:
        self._turns = turns
        self._gate: StepLock | None = gate
        self._lock: StepLock | None = None
        self.vertex = vertex
        self.contended = contended

    def wait_for(self, key: str) -> None:
        """Open the gate, then wait until nobody else does the step of this key. Raises BuildStopped when cancelled."""
        self._open_gate()
        self._lock = self._turns.wait(f"key-{key}", self.vertex)[0]

    def found(self, key: str) -> None:
        """The key is known now: lock it if it is free, and open the gate. Nothing where it is locked already."""
        if self._lock is None:
            self._lock = self._turns.locks.acquire(f"key-{key}", self.vertex.definition)
        self._open_gate()

    def end(self) -> None:
        """Let the next one. Idempotent."""
        self._open_gate()
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.release()

    def _open_gate(self) -> None:
        gate, self._gate = self._gate, None
        if gate is not None:
            gate.release()


class Turns:
    """The turns of one build. Safe between threads."""

    def __init__(self, locks: StepLocks, reporter: Reporter) -> None:
        self.locks = locks
        self._reporter = reporter
        self._cancelled = threading.Event()

    def begin(self, vertex: Vertex, shape: str) -> Turn:
        """Wait for the gate of a step. Raises BuildStopped when the build is cancelled meanwhile."""
        gate, waited = self.wait(f"gate-{vertex.definition}{shape[:32]}", vertex)
        try:
            contended = waited or self.locks.is_noted(vertex.definition)
        except BaseException:
            gate.release()
            raise
        return Turn(self, vertex, gate, contended=contended)

    def cancel(self) -> None:
        """Nobody waits any more. Idempotent."""
        self._cancelled.set()

    def wait(self, name: str, vertex: Vertex) -> tuple[StepLock, bool]:
        """The lock of a name, and whether it had to be waited for. Raises BuildStopped when cancelled."""
        # Asked for again and again instead of flock(2) that blocks: that could not be cancelled in a thread.
        lock = self.locks.acquire(name, vertex.definition if name.startswith("key-") else "")
        if lock is not None:
            return lock, False
        began = time.monotonic()
        pause, told = _FIRST_PAUSE, False
        while lock is None:
            if self._cancelled.wait(pause):
                raise BuildStopped
            pause = min(pause * 1.5, _LONGEST_PAUSE)
            if not told and time.monotonic() - began > _TELL_AFTER:
                told = True
                self._reporter.message("info", f"{vertex.name} is being done by another build: waiting for its result")
            lock = self.locks.acquire(name, vertex.definition if name.startswith("key-") else "")
        return lock, True
