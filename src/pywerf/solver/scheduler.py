"""Runs a graph: every vertex once, after what it works on, as many at a time as allowed."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import copy_context
from functools import partial
from typing import Generic, TypeVar

from pywerf.graph.vertex import Vertex

__all__ = ["solve"]

R = TypeVar("R")
Work = Callable[[Vertex, "tuple[R | None, ...]"], R]


def solve(targets: Sequence[Vertex | None], work: Work[R], *, jobs: int, cancel: Callable[[], None]) -> list[R | None]:
    """The results of `targets` (None for None). Only what they need is done, equal vertices once.

    `work` runs on this thread as long as one step at a time is ready, on up to `jobs` threads otherwise.
    The first error stops the rest (`cancel` is called once, for what runs) and is raised when all threads have ended.
    """
    wanted = [target for target in targets if target is not None]
    if wanted:
        results = _Run(wanted, work, max(1, jobs), cancel).run()
    return [None if target is None else results[target.definition] for target in targets]


class _Run(Generic[R]):
    def __init__(self, targets: Sequence[Vertex], work: Work[R], jobs: int, cancel: Callable[[], None]) -> None:
        self.work = work
        self.jobs = jobs
        self.cancel = cancel
        self.changed = threading.Condition()
        self.results: dict[str, R] = {}
        self.waiting: dict[str, int] = {}  # how many inputs are still missing
        self.needed_by: dict[str, list[Vertex]] = {}
        self.ready: deque[Vertex] = deque()
        self.error: BaseException | None = None
        self.threads: list[threading.Thread] = []
        self.idle = 1  # threads that have nothing to do, this one included
        self._collect(targets)
        self.left = len(self.waiting)

    def _collect(self, targets: Sequence[Vertex]) -> None:
        stack = list(reversed(targets))
        while stack:
            vertex = stack.pop()
            key = vertex.definition
            if key in self.waiting:
                continue
            inputs = {item.definition: item for item in vertex.inputs if item is not None}
            self.waiting[key] = len(inputs)
            for name, item in inputs.items():
                self.needed_by.setdefault(name, []).append(vertex)
                stack.append(item)
            if not inputs:
                self.ready.append(vertex)

    def run(self) -> dict[str, R]:
        try:
            with self.changed:
                self._call_helpers()
            self._work()
        except BaseException as error:  # an interrupt of the main thread: the helpers must end as well
            self._stop(error)
        for thread in self.threads:
            thread.join()
        if self.error is not None:
            raise self.error
        return self.results

    def _call_helpers(self) -> None:
        """Start a thread for every vertex that nobody would begin at once, as far as allowed."""
        while len(self.ready) > self.idle and len(self.threads) < self.jobs - 1:
            # with this thread's context: who listens tells by it what a step belongs to
            work = partial(copy_context().run, self._work)
            thread = threading.Thread(target=work, name=f"solver-{len(self.threads) + 1}", daemon=True)
            self.threads.append(thread)
            self.idle += 1
            thread.start()

    def _work(self) -> None:
        """What every thread does: one vertex after the other, until none is left or one has failed."""
        while True:
            with self.changed:
                while not self.ready and self.left and self.error is None:
                    self.changed.wait()
                if self.error is not None or not self.left:
                    return
                vertex = self.ready.popleft()
                self.idle -= 1
            self._do(vertex)

    def _do(self, vertex: Vertex) -> None:
        inputs = tuple(None if item is None else self.results[item.definition] for item in vertex.inputs)
        try:
            result = self.work(vertex, inputs)
        except BaseException as error:
            self._stop(error)
            return
        with self.changed:
            self.results[vertex.definition] = result
            self.left -= 1
            self.idle += 1
            for waiter in self.needed_by.get(vertex.definition, ()):
                self.waiting[waiter.definition] -= 1
                if not self.waiting[waiter.definition]:
                    self.ready.append(waiter)
            self._call_helpers()
            if len(self.ready) > 1 or not self.left:
                self.changed.notify_all()

    def _stop(self, error: BaseException) -> None:
        with self.changed:
            first = self.error is None
            if first:
                self.error = error
            self.changed.notify_all()
        if first:
            self.cancel()
