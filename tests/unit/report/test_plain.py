"""The plain view writes BuildKit's lines."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from typing import Any

import pytest

from pywerf.report.plain import PlainReporter, message_line


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def view(stream: io.StringIO, clock: Any) -> PlainReporter:
    return PlainReporter(stream, clock=clock)


def test_a_build(view: PlainReporter, stream: io.StringIO, clock: Any) -> None:
    view.message("info", "native-chroot")
    view.step_started(7, "[1/2] FROM debian", source="Dockerfile:1")
    view.step_finished(7, "cached")
    view.step_started(3, "[2/2] RUN make", source="Dockerfile:2")
    clock.now += 0.3125
    view.step_output(3, b"one\ntw")
    clock.now += 0.5
    view.step_output(3, b"o\nthree")
    view.step_finished(3, "done")
    view.close()
    assert stream.getvalue() == (
        "native-chroot\n"
        "#1 [1/2] FROM debian\n"
        "#1 CACHED\n"
        "\n"
        "#2 [2/2] RUN make\n"
        "#2 0.312 one\n"
        "#2 0.812 two\n"
        "#2 0.812 three\n"
        "#2 DONE 0.8s\n"
    )


def test_steps_that_run_at_once_repeat_their_names(view: PlainReporter, stream: io.StringIO) -> None:
    view.step_started(1, "a")
    view.step_started(2, "b")
    view.step_output(1, b"x\n")
    view.step_finished(2, "done")
    view.step_finished(1, "cancelled")
    assert stream.getvalue() == (
        "#1 a\n#1 ...\n\n#2 b\n#2 ...\n\n#1 a\n#1 0.000 x\n#1 ...\n\n#2 b\n#2 DONE 0.0s\n\n#1 a\n#1 CANCELED\n"
    )


def test_a_failure_ends_with_the_last_lines(view: PlainReporter, stream: io.StringIO) -> None:
    view.step_started(1, "RUN make")
    view.step_output(1, b"".join(b"line %d\n" % n for n in range(50)))
    view.step_finished(1, "failed", error="exit code 2")
    stream.truncate(0)
    stream.seek(0)
    view.close()
    view.close()
    lines = [f"line {n}" for n in range(30, 50)]
    assert stream.getvalue().split("\n") == ["", "------", " > RUN make:", *lines, "------", ""]


def test_transfers_are_told_at_their_ends_and_now_and_then(
    view: PlainReporter, stream: io.StringIO, clock: Any
) -> None:
    view.step_started(1, "FROM debian")
    for current in (0, 10, 20):
        view.step_progress(1, "sha256:ab", current * 1000, 30_000)
    clock.now += 6
    view.step_progress(1, "sha256:ab", 25_000, 30_000)
    view.step_progress(1, "sha256:ab", 30_000, 30_000)
    view.step_progress(1, "sha256:ab", 30_000, 30_000)
    view.step_progress(1, "other", 5, 0)
    assert stream.getvalue() == (
        "#1 FROM debian\n"
        "#1 sha256:ab 0 B / 30 kB\n"
        "#1 sha256:ab 25 kB / 30 kB\n"
        "#1 sha256:ab 30 kB / 30 kB done\n"
        "#1 other 5 B\n"
    )


@pytest.mark.parametrize(
    ("verbosity", "shown"),
    [
        ("quiet", {"warning", "error"}),
        ("normal", {"info", "warning", "error"}),
        ("debug", {"debug", "info", "warning", "error"}),
    ],
)
def test_messages_by_level(verbosity: Any, shown: set[str], stream: io.StringIO) -> None:
    view = PlainReporter(stream, verbosity)
    for level in ("debug", "info", "warning", "error"):
        view.message(level, f"<{level}>")
    assert {level for level in ("debug", "info", "warning", "error") if f"<{level}>" in stream.getvalue()} == shown


def test_sources_when_verbose(stream: io.StringIO) -> None:
    PlainReporter(stream, "verbose").step_started(1, "RUN x", source="Dockerfile:3")
    assert stream.getvalue() == "#1 RUN x (Dockerfile:3)\n"


def test_colors(stream: io.StringIO, clock: Any) -> None:
    view = PlainReporter(stream, color=True, clock=clock)
    view.step_started(1, "x")
    view.step_output(1, b"\x1b[31mred\x1b[0m \x1b[2Jgone\n")
    view.step_finished(1, "cached")
    assert "\x1b[31mred\x1b[0m gone" in stream.getvalue()
    assert "\x1b[36mCACHED\x1b[0m" in stream.getvalue()
    assert message_line("warning", "w", True) == "\x1b[33mWarning\x1b[0m: w"


def test_events_of_unknown_steps_are_taken(view: PlainReporter, stream: io.StringIO) -> None:
    view.step_output(5, b"x\n")
    view.step_finished(6, "done")
    view.step_progress(7, "y", 1, 2)
    assert "step 5" in stream.getvalue()


def test_a_reader_that_is_gone_stops_nothing(broken_stream: io.StringIO) -> None:
    view = PlainReporter(broken_stream)
    view.step_started(1, "x")
    view.step_output(1, b"y\n")
    view.step_finished(1, "failed", error="z")
    view.message("error", "z")
    view.close()
    closed = io.StringIO()
    closed.close()
    PlainReporter(closed).message("error", "z")


def test_threads_do_not_mix_lines(
    view: PlainReporter, stream: io.StringIO, from_many_threads: Callable[[Any], None]
) -> None:
    def work(n: int) -> None:
        view.step_started(n, f"step {n}")
        for _ in range(50):
            view.step_output(n, b"abc\nde")
            view.step_output(n, b"f\n")
        view.step_finished(n, "done")

    from_many_threads(work)
    lines = stream.getvalue().split("\n")
    assert sum(line.endswith(" abc") for line in lines) == 400
    assert sum(line.endswith(" def") for line in lines) == 400
    assert all(line == "" or line.startswith("#") for line in lines)


def test_a_step_that_writes_keeps_the_word_for_a_while(view: PlainReporter, stream: io.StringIO, clock: Any) -> None:
    view.step_started(1, "a")
    view.step_started(2, "b")
    stream.truncate(0)
    stream.seek(0)
    for n in range(3):
        view.step_output(1, b"a%d\n" % n)
        view.step_output(2, b"b%d\n" % n)
        clock.now += 0.1
    assert [line.rpartition(" ")[2] for line in stream.getvalue().splitlines()] == ["...", "", "a", "a0", "a1", "a2"]
    clock.now += 1.0  # a is silent: b has the word
    view.step_output(2, b"b3\n")
    lines = stream.getvalue().splitlines()[6:]
    assert [line.rpartition(" ")[2] for line in lines] == ["...", "", "b", "b0", "b1", "b2", "b3"]
    view.close()


def test_nobody_keeps_the_word_for_ever(view: PlainReporter, stream: io.StringIO, clock: Any) -> None:
    view.step_started(1, "a")
    view.step_started(2, "b")
    view.step_output(1, b"a\n")
    view.step_output(2, b"waits\n")
    for _ in range(60):
        clock.now += 0.1
        view.step_output(1, b"a\n")
    before, waits, after = stream.getvalue().partition("#2 0.000 waits\n")
    assert waits
    assert before.count(" a\n") > 40
    assert after.count(" a\n") > 0
    view.close()


def test_the_next_one_has_the_word_when_a_step_ends(view: PlainReporter, stream: io.StringIO) -> None:
    view.step_started(1, "a")
    view.step_started(2, "b")
    view.step_output(1, b"a\n")
    view.step_output(2, b"waits\n")
    assert "waits" not in stream.getvalue()
    view.step_finished(1, "done")
    assert stream.getvalue().endswith("#1 DONE 0.0s\n\n#2 b\n#2 0.000 waits\n")
    view.close()


def test_what_waits_is_shown_when_nothing_else_happens(stream: io.StringIO) -> None:
    view = PlainReporter(stream)
    shown = threading.Event()
    write = stream.write

    def noting(text: str) -> int:
        if "waits" in text:
            shown.set()
        return write(text)

    stream.write = noting  # type: ignore[method-assign]
    view.step_started(1, "a")
    view.step_started(2, "b")
    view.step_output(1, b"a\n")
    view.step_output(2, b"waits\n")
    assert shown.wait(30)
    view.close()


def test_nothing_that_waits_is_lost_at_the_end(view: PlainReporter, stream: io.StringIO) -> None:
    view.step_started(1, "a")
    view.step_started(2, "b")
    view.step_output(1, b"a\n")
    view.step_output(2, b"waits\nwithout end")
    view.close()
    assert stream.getvalue().endswith("#2 0.000 waits\n#2 0.000 without end\n")


def test_what_asks_for_something_is_shown_before_its_line_ends(stream: io.StringIO, clock: Any) -> None:
    view = PlainReporter(stream, clock=clock, prompts=True)
    view.step_started(1, "[1/1] RUN ask")
    view.step_output(1, b"one\nreally? ")
    assert stream.getvalue().endswith("#1 0.000 one\n#1 0.000 really? \n")
    view.step_output(1, b"yes\n")
    assert stream.getvalue().endswith("#1 0.000 really? \n#1 0.000 yes\n")
    assert PlainReporter(stream, prompts=True).onto(io.StringIO())._prompts
