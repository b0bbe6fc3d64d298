"""Requests whose answer has to be known, though we are interrupted while we wait for it."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["to_its_end"]


def to_its_end(call: Callable[[], None]) -> None:
    """Call it, and wait for its end though we are interrupted meanwhile.

    The daemon does what it was asked even when nobody waits for the answer, which says what is to be removed.
    """
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as worker:
        worker.submit(lambda: None).result()  # a thread that is still being started would not be waited for
        worker.submit(call).result()
