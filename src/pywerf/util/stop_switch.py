"""Gives up what several threads are doing, from another one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pywerf.errors import BuildStopped

__all__ = ["StopSwitch"]


class StopSwitch:
    """Work says how it is stopped, for as long as it goes on. Once stopped, nothing more begins."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stopped = False
        self._stops: dict[int, Callable[[], None]] = {}

    def check(self) -> None:
        """Raises BuildStopped after `stop`."""
        if self._stopped:
            raise BuildStopped

    @contextmanager
    def during(self, stop: Callable[[], None]) -> Iterator[None]:
        """Work that `stop` ends, which is called in the thread that calls `StopSwitch.stop`, and once at most.

        Raises BuildStopped at its begin.
        """
        key = id(stop)
        with self._lock:
            self.check()
            self._stops[key] = stop
        try:
            yield
        finally:
            with self._lock:
                self._stops.pop(key, None)

    def stop(self) -> None:
        """Stop all. Idempotent."""
        with self._lock:
            self._stopped = True
            stops, self._stops = list(self._stops.values()), {}
        for stop in stops:
            stop()
