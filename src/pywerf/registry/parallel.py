"""Some jobs at once on threads of their own: the first failure stops the rest."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import copy_context
from functools import partial

from pywerf.registry.verify import closing

__all__ = ["Cancelled", "guarded", "run_all"]

# How long (seconds) a failure waits for the other jobs to notice it: one may sit in a read from a dead network.
PATIENCE = 10.0


class Cancelled(Exception):
    """The job was given up because another one has failed; never leaves this package."""


def run_all(work: Sequence[Callable[[threading.Event], None]], jobs: int) -> None:
    """Run every piece of work, at most `jobs` at once, in order of their places; return when all are done.

    Each gets the event that tells it to stop. The first error is raised; a signal's exception in the
    calling thread stops the others, too.
    """
    stop = threading.Event()
    if len(work) <= 1 or jobs <= 1:
        for item in work:
            item(stop)
        return
    pending = iter(work)
    lock = threading.Lock()
    errors: list[BaseException] = []

    def worker() -> None:
        while not stop.is_set():
            with lock:
                item = next(pending, None)
            if item is None:
                return
            try:
                item(stop)
            except Cancelled:
                return
            except BaseException as error:
                errors.append(error)
                stop.set()
                return

    count = min(jobs, len(work))
    threads = [
        threading.Thread(target=partial(copy_context().run, worker), name=f"registry-{number}", daemon=True)
        for number in range(count)
    ]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            while thread.is_alive() and not stop.is_set():
                thread.join(0.2)
    finally:
        stop.set()
        for thread in threads:
            thread.join(PATIENCE)
    if errors:
        raise errors[0]


def guarded(chunks: Iterable[bytes], stop: threading.Event) -> Iterator[bytes]:
    """The chunks, until another job has failed."""
    with closing(chunks):
        for chunk in chunks:
            if stop.is_set():
                raise Cancelled
            yield chunk
