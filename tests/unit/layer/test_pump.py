"""Streams across threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from pywerf.layer.pump import Consumer, prefetch, written_chunks

Write = Callable[[bytes], object]
CHUNKS = [bytes([number]) * 1000 for number in range(100)]


@pytest.mark.parametrize("after", [0, 5000, 1 << 30])
def test_prefetch_keeps_chunks_and_order(after: int) -> None:
    before = set(threading.enumerate())
    assert list(prefetch(CHUNKS, after=after)) == CHUNKS
    assert set(threading.enumerate()) <= before


def test_prefetch_raises_what_its_source_raised_in_its_place() -> None:
    def source() -> Iterator[bytes]:
        yield from CHUNKS[:10]
        raise ValueError("source")

    seen = []
    with pytest.raises(ValueError, match="source"):  # noqa: PT012 - some chunks come before the error
        for chunk in prefetch(source(), after=0):
            seen.append(chunk)
    assert seen == CHUNKS[:10]


def test_prefetch_is_bounded_and_ends_when_it_is_closed() -> None:
    produced = 0

    def source() -> Iterator[bytes]:
        nonlocal produced
        while True:
            produced += 1
            yield b"x" * 1000

    before = set(threading.enumerate())
    stream = prefetch(source(), after=0)
    for _ in range(3):
        next(stream)
    stream.close()
    assert produced < 30
    assert set(threading.enumerate()) <= before


def test_consumer_works_in_order_and_gives_its_error_back() -> None:
    seen: list[bytes] = []
    consumer = Consumer(seen.append, "test")
    for chunk in CHUNKS:
        consumer.put(chunk)
    consumer.close()
    consumer.close()
    assert seen == CHUNKS

    def fail(chunk: bytes) -> None:
        raise ValueError("work")

    consumer = Consumer(fail, "test")
    with pytest.raises(ValueError, match="work"):  # noqa: PT012 - whichever `put` comes after the error
        for _ in range(20):
            consumer.put(bytes(1 << 20))
    with pytest.raises(ValueError, match="work"):
        consumer.close()
    consumer.close(check=False)


def test_chunks_come_in_order_and_empty_ones_are_left_out() -> None:
    def produce(write: Write) -> None:
        for number in range(200):
            write(str(number).encode() + b",")
            write(b"")

    assert b"".join(written_chunks(produce)) == b"".join(b"%d," % number for number in range(200))
    assert all(written_chunks(produce))


def test_nothing_is_produced_before_somebody_reads() -> None:
    begun: list[bool] = []
    chunks = written_chunks(lambda write: begun.append(True))
    assert begun == []
    assert list(chunks) == []
    assert begun == [True]


def test_an_error_comes_after_what_was_written() -> None:
    def produce(write: Write) -> None:
        write(b"first")
        raise ValueError("then this")

    chunks = written_chunks(produce)
    assert next(chunks) == b"first"
    with pytest.raises(ValueError, match="then this"):
        next(chunks)


def test_closing_ends_a_writer_that_waits() -> None:
    ended = threading.Event()

    def produce(write: Write) -> None:
        try:
            while True:
                write(b"x")
        finally:
            ended.set()

    before = set(threading.enumerate())
    chunks = written_chunks(produce)
    assert next(chunks) == b"x"
    chunks.close()
    assert ended.is_set()
    assert set(threading.enumerate()) <= before


def test_what_is_written_may_be_changed_afterwards() -> None:
    def produce(write: Write) -> None:
        buffer = bytearray(b"one")
        write(buffer)  # type: ignore[arg-type]  # what some compressors hand over
        buffer[:] = b"two"

    assert list(written_chunks(produce)) == [b"one"]
