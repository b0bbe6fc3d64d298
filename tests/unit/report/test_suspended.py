"""Views hold what they are told while somebody else has the terminal."""

from __future__ import annotations

import io
import json
from collections.abc import Callable

import pytest

from pywerf.report.blocks import BlockReporter
from pywerf.report.events import Reporter
from pywerf.report.json import JsonReporter
from pywerf.report.plain import PlainReporter
from pywerf.report.quiet import QuietReporter
from pywerf.report.trace import TraceReporter
from pywerf.report.tty import TtyReporter
from pywerf.util.suspend import suspended
from support.recorder import Recorder

VIEWS: dict[str, Callable[[io.StringIO], Reporter]] = {
    "plain": PlainReporter,
    "quiet": QuietReporter,
    "json": JsonReporter,
    "tty": TtyReporter,
    "blocks": lambda stream: BlockReporter(PlainReporter(stream)),
    "trace": lambda stream: TraceReporter(PlainReporter(stream), "/dev/null"),
}


@pytest.mark.parametrize("name", VIEWS)
def test_nothing_is_written_meanwhile_and_nothing_is_lost(name: str) -> None:
    stream = io.StringIO()
    view = VIEWS[name](stream)
    view.step_started(1, "RUN make")
    view.step_output(1, b"no rule\n")
    view.step_finished(1, "failed", error="exit code 2")
    view.message("warning", "before")
    with suspended(view):
        shown = stream.getvalue()
        view.message("warning", "first")
        view.step_started(2, "RUN other")
        view.step_output(2, b"text\n")
        view.message("warning", "last")
        assert stream.getvalue() == shown
    view.step_finished(2, "cancelled")
    view.message("warning", "after")
    view.close()
    text = stream.getvalue()
    if name == "json":
        text = "".join(json.dumps(line) for line in text.splitlines())
        assert text.count("warnings") == 4
        return
    places = [text.index(word) for word in ("before", "first", "last", "after")]
    assert places == sorted(places)
    assert len(shown) > text.index("before")


def test_the_live_view_shows_before_what_has_failed_and_goes_on_afterwards() -> None:
    stream = io.StringIO()
    view = TtyReporter(stream)
    view.step_started(1, "RUN make")
    view.step_output(1, b"no rule\n")
    view.step_finished(1, "failed", error="exit code 2")
    with suspended(view):
        assert "no rule" in stream.getvalue()
    view.step_started(2, "RUN more")
    view.step_finished(2, "done")
    view.close()
    assert "RUN more" in stream.getvalue()


def test_a_block_is_held_as_a_whole() -> None:
    stream = io.StringIO()
    blocks = BlockReporter(PlainReporter(stream))
    with blocks.block():
        blocks.message("info", "one")
        with suspended(blocks):
            shown = stream.getvalue()
            blocks.message("info", "two")
            assert stream.getvalue() == shown
        assert stream.getvalue() == f"{shown}two\n"
        blocks.message("info", "three")
        assert stream.getvalue().endswith("three\n")


def test_a_reporter_that_knows_no_such_time_goes_on() -> None:
    recorder = Recorder()
    with suspended(recorder):
        recorder.message("info", "told")
    assert recorder.messages == ["told"]
