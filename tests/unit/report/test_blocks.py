"""Blocks: what belongs together stays together, and the first one is written as it comes."""

from __future__ import annotations

import io
import threading
from contextvars import copy_context

from pywerf.report.blocks import BlockReporter
from pywerf.report.plain import PlainReporter


def reporter() -> tuple[BlockReporter, io.StringIO]:
    stream = io.StringIO()
    return BlockReporter(PlainReporter(stream, clock=lambda: 0.0)), stream


def test_the_first_block_is_written_at_once_and_the_others_wait() -> None:
    blocks, stream = reporter()
    steps = [threading.Event() for _ in range(3)]

    def first() -> None:
        with blocks.block():
            blocks.message("info", "one")
            steps[0].set()
            assert steps[2].wait(60)
            blocks.message("info", "one more")

    def second() -> None:
        assert steps[0].wait(60)
        with blocks.block():
            blocks.message("info", "two")
            blocks.step_started(7, "work")
            blocks.step_output(7, b"hello\n")
            blocks.step_finished(7, "done")
        steps[1].set()

    threads = [threading.Thread(target=work) for work in (first, second)]
    for thread in threads:
        thread.start()
    assert steps[1].wait(60)
    assert "two" not in stream.getvalue()
    steps[2].set()
    for thread in threads:
        thread.join()
    assert stream.getvalue().splitlines() == [
        "one", "one more", "two", "#1 work", "#1 0.000 hello", "#1 DONE 0.0s",
    ]  # fmt: skip


def test_steps_belong_where_their_thread_was_started() -> None:
    blocks, stream = reporter()
    with blocks.block():
        blocks.message("info", "front")
        context = copy_context()

        def elsewhere() -> None:
            blocks.step_started(1, "within")

        def outside() -> None:
            blocks.step_finished(1, "done")
            blocks.message("info", "of nobody")

        for work in (lambda: context.run(elsewhere), outside):
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
    assert stream.getvalue().splitlines() == ["front", "#1 within", "#1 DONE 0.0s", "of nobody"]


def test_what_fails_is_told_in_its_block() -> None:
    blocks, stream = reporter()
    with blocks.block():
        blocks.step_started(1, "RUN false")
        blocks.step_output(1, b"oh\n")
        blocks.step_finished(1, "failed", error="status 1")
    blocks.message("info", "afterwards")
    lines = stream.getvalue().splitlines()
    assert lines[-1] == "afterwards"
    assert "#1 ERROR: status 1" in lines


def test_closing_writes_what_waits() -> None:
    blocks, stream = reporter()
    one, two = blocks.block(), blocks.block()
    one.__enter__()
    two.__enter__()
    blocks.message("info", "waiting")
    assert stream.getvalue() == ""
    blocks.close()
    assert "waiting" in stream.getvalue()
    two.__exit__(None, None, None)
    one.__exit__(None, None, None)


def test_lines_begin_with_a_stamp() -> None:
    stream = io.StringIO()
    blocks = BlockReporter(PlainReporter(stream, clock=lambda: 0.0, stamp=lambda: "12:00"))
    blocks.message("info", "one")
    with blocks.block():
        blocks.message("info", "two\nthree")
    assert stream.getvalue() == "12:00 one\n12:00 two\n12:00 three\n"
