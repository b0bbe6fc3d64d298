"""A clock that only moves when a test says so."""

from __future__ import annotations

import io
import threading

import pytest


class Clock:
    """Seconds, starting at 100."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class BrokenStream(io.StringIO):
    """A stream whose reader is gone."""

    def write(self, text: str) -> int:
        raise BrokenPipeError(32, "Broken pipe")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def broken_stream() -> io.StringIO:
    return BrokenStream()


@pytest.fixture
def from_many_threads():  # type: ignore[no-untyped-def]
    """Calls a function with 0 to 7, each on a thread of its own."""

    def start(function) -> None:  # type: ignore[no-untyped-def]
        threads = [threading.Thread(target=function, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    return start
