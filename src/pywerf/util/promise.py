"""A result that is still being made: what `concurrent.futures.Future` is, without its import time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["Promise", "run_in_thread"]

T = TypeVar("T")


class Promise(Generic[T]):
    """Set once, by `resolve` or `fail`; `result` waits. Safe between threads."""

    __slots__ = ("_done", "_error", "_value")

    def __init__(self) -> None:
        self._done = threading.Event()
        self._value: T | None = None
        self._error: BaseException | None = None

    @classmethod
    def of(cls, value: T) -> Promise[T]:
        """A promise that is kept already."""
        promise: Promise[T] = cls()
        promise.resolve(value)
        return promise

    def resolve(self, value: T) -> None:
        self._value = value
        self._done.set()

    def fail(self, error: BaseException) -> None:
        self._error = error
        self._done.set()

    @property
    def done(self) -> bool:
        return self._done.is_set()

    @property
    def failed(self) -> bool:
        """Whether it was broken. Asked when it is done."""
        return self._error is not None

    def wait(self) -> None:
        """Wait until it is kept or has failed; raises nothing."""
        self._done.wait()

    def result(self) -> T:
        """The value, waited for; raises the error that it failed with."""
        self._done.wait()
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[return-value]  # set together with _done


def run_in_thread(work: Callable[[], T], name: str) -> Promise[T]:
    """Run `work` on a daemon thread of its own."""
    promise: Promise[T] = Promise()

    def body() -> None:
        try:
            promise.resolve(work())
        except BaseException as error:
            promise.fail(error)

    threading.Thread(target=body, name=name, daemon=True).start()
    return promise
