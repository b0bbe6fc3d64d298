"""The containers of a build that run now."""

from __future__ import annotations

import threading

from pywerf.isolation.spec import Container

__all__ = ["Running"]


class Running:
    """The containers that run now, so that all of them can be stopped. Safe between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._containers: set[Container] = set()
        self._cancelled = False

    def add(self, container: Container) -> None:
        with self._lock:
            self._containers.add(container)
            cancelled = self._cancelled
        if cancelled:
            container.kill()

    def discard(self, container: Container) -> None:
        with self._lock:
            self._containers.discard(container)

    def is_cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._cancelled

    def cancel(self) -> None:
        """Kill all of them, and every one that is still to come."""
        with self._lock:
            self._cancelled = True
            containers = list(self._containers)
        for container in containers:
            container.kill()
