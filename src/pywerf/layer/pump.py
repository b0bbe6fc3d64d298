"""Ways to give work on a stream to another thread, with a bounded number of chunks in between."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import queue
    import threading

__all__ = ["Consumer", "prefetch", "written_chunks"]

_DEPTH = 6  # chunks of about half a MiB
# Bytes that are handed over at once. Each handing over makes two threads take turns at the interpreter: where the
# chunks come from many small files and the machine is busy, that costs more than the other thread takes over.
_BATCH = 2 << 20
_BATCHES = 3


class Consumer:
    """Calls `work` for each chunk on a thread of its own, in order; `put` waits while it is far behind.

    An error of `work` is raised by some later `put` or by `close`; what comes after it is thrown away.
    """

    __slots__ = ("_batch", "_chunks", "_error", "_gathered", "_thread", "_work")

    def __init__(self, work: Callable[[bytes], object], name: str) -> None:
        import queue
        import threading

        self._work = work
        self._error: BaseException | None = None
        self._batch: list[bytes] = []
        self._gathered = 0
        self._chunks: queue.Queue[list[bytes] | None] = queue.Queue(_BATCHES)
        self._thread: threading.Thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, chunk: bytes) -> None:
        """Hand over a chunk."""
        if self._error is not None:
            raise self._error
        self._batch.append(chunk)
        self._gathered += len(chunk)
        if self._gathered >= _BATCH:
            self._hand_over()

    def close(self, *, check: bool = True) -> None:
        """Wait until everything is done. Idempotent."""
        if self._thread.is_alive():
            if check:
                self._hand_over()
            self._chunks.put(None)
            self._thread.join()
        if check and self._error is not None:
            raise self._error

    def _hand_over(self) -> None:
        batch, self._batch, self._gathered = self._batch, [], 0
        self._chunks.put(batch)

    def _run(self) -> None:
        work = self._work
        get = self._chunks.get
        while (batch := get()) is not None:
            for chunk in batch:
                if self._error is None:
                    try:
                        work(chunk)
                    except BaseException as error:  # raised again in the thread that puts
                        self._error = error


def prefetch(chunks: Iterable[bytes], *, after: int = 1 << 20, name: str = "prefetch") -> Generator[bytes, None, None]:
    """The same chunks, produced ahead on another thread once the stream has turned out longer than `after` bytes.

    What producing them costs (reading, decompressing, hashing) then runs beside what consuming them costs.
    Closing the iterator early ends the thread.
    """
    iterator = iter(chunks)
    seen = 0
    for chunk in iterator:
        yield chunk
        seen += len(chunk)
        if seen > after:
            break
    else:
        return

    def rest(write: Callable[[bytes], object]) -> None:
        for chunk in iterator:
            write(chunk)

    yield from written_chunks(rest, name=name)


class _Closed(Exception):
    """The reader has gone."""


def written_chunks(
    produce: Callable[[Callable[[bytes], object]], object], *, name: str = "layer-writer"
) -> Generator[bytes, None, None]:
    """What `produce` writes with the function that it gets, as an iterator. It runs on a thread, some chunks ahead.

    Closing the iterator early makes the next write of `produce` fail, and waits for its end.
    """
    import queue
    import threading

    ready: queue.Queue[bytes | BaseException | None] = queue.Queue(_DEPTH)
    closed = threading.Event()

    def write(chunk: bytes) -> None:
        if closed.is_set():
            raise _Closed
        if chunk:
            ready.put(bytes(chunk))

    def run() -> None:
        try:
            produce(write)
            ready.put(None)
        except _Closed:
            pass
        except BaseException as error:  # raised again where the chunks are read
            ready.put(error)

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        closed.set()
        while thread.is_alive():
            try:  # room for a writer that waits
                ready.get(timeout=0.01)
            except queue.Empty:
                pass
        thread.join()
