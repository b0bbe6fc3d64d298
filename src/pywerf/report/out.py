"""Where a view writes to: it can be held for a while, and its reader may go."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

__all__ = ["Out", "TextStream"]


class TextStream(Protocol):
    """What text is written to."""

    def write(self, text: str, /) -> object: ...
    def flush(self) -> object: ...


class Out:
    """A stream whose reader may go: nothing that is shown may decide the outcome of a build. Any thread may write."""

    def __init__(self, stream: TextStream) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._gone = False
        self._held: list[str] | None = None

    def write(self, text: str) -> None:
        """Write now, or later while this is suspended."""
        with self._lock:
            if self._held is None:
                self._print(text)
            else:
                self._held.append(text)

    def lines(self, lines: list[str]) -> None:
        """Write lines, each with its end."""
        if lines:
            self.write("\n".join(lines) + "\n")

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """See util/suspend.py."""
        with self._lock:
            self._held = []
        try:
            yield
        finally:
            with self._lock:
                held, self._held = self._held, None
                self._print("".join(held or ()))

    def _print(self, text: str) -> None:
        if self._gone or not text:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            self._gone = True
