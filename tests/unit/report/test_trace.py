"""The time line is what Chrome's trace viewer reads."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pywerf.errors import WerfError
from pywerf.report.plain import PlainReporter
from pywerf.report.trace import TraceReporter
from pywerf.util.spans import spans_of


def read(path: Path) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = json.loads(path.read_text())["traceEvents"]
    return events


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def trace(tmp_path: Path, stream: io.StringIO) -> TraceReporter:
    return TraceReporter(PlainReporter(stream), str(tmp_path / "trace.json"))


def test_a_build(trace: TraceReporter, tmp_path: Path, stream: io.StringIO) -> None:
    trace.step_started(1, "[1/2] RUN make", source="Dockerfile:2")
    trace.step_output(1, b"text\n")
    with trace.span("hash", "[1/2] RUN make"):
        pass
    trace.step_finished(1, "done")
    trace.step_started(2, "pushing")
    trace.step_progress(2, "sha256:ab", 0, 10)
    trace.step_progress(2, "sha256:ab", 10, 10)
    trace.step_progress(2, "sha256:ab", 10, 10)
    trace.step_finished(2, "failed", error="no")
    trace.message("warning", "careful")
    trace.close()
    trace.close()
    events = read(tmp_path / "trace.json")
    steps = [event for event in events if event.get("cat") == "step"]
    assert [(event["name"], event["args"]["state"]) for event in steps] == [
        ("[1/2] RUN make", "done"),
        ("pushing", "failed"),
    ]
    assert steps[0]["args"]["source"] == "Dockerfile:2"
    assert steps[1]["args"]["error"] == "no"
    assert [event["ph"] for event in events if event.get("cat") == "transfer"] == ["b", "e"]
    (span,) = [event for event in events if event.get("cat") == "hash"]
    assert steps[0]["ts"] <= span["ts"]
    assert span["ts"] + span["dur"] <= steps[0]["ts"] + steps[0]["dur"] + 0.2
    assert "#1 0.0" in stream.getvalue()
    assert "careful" in stream.getvalue()


def test_every_event_has_what_the_format_asks_for(
    trace: TraceReporter, tmp_path: Path, from_many_threads: Callable[[Any], None]
) -> None:
    def work(n: int) -> None:
        trace.step_started(n, f"step {n}")
        with trace.span("unpack", "x"):
            trace.step_progress(n, "layer", 1, 2)
        trace.step_finished(n, "done")

    from_many_threads(work)
    trace.close()
    events = read(tmp_path / "trace.json")
    for event in events:
        assert {"ph", "name", "pid", "tid"} <= set(event)
        if event["ph"] != "M":
            assert event["ts"] >= 0
        if event["ph"] == "X":
            assert event["dur"] >= 0
    named = {event["tid"] for event in events if event["name"] == "thread_name"}
    assert {event["tid"] for event in events if event["ph"] in "Xbei"} <= named
    began = {event["id"] for event in events if event["ph"] == "b"}
    assert began == {event["id"] for event in events if event["ph"] == "e"}
    assert len(began) == 8


def test_slices_of_one_thread_are_nested(trace: TraceReporter, tmp_path: Path) -> None:
    for n in range(3):
        trace.step_started(n, f"step {n}")
        with trace.span("digest", "a"), trace.span("read", "b"):
            pass
        trace.step_finished(n, "cached")
    trace.close()
    slices = [event for event in read(tmp_path / "trace.json") if event["ph"] == "X"]
    slices.sort(key=lambda event: (event["ts"], -event["dur"]))
    ends: list[float] = []
    for event in slices:
        while ends and ends[-1] <= event["ts"]:
            ends.pop()
        assert not ends or event["ts"] + event["dur"] <= ends[-1] + 0.2
        ends.append(event["ts"] + event["dur"])


def test_a_build_that_is_broken_off_leaves_a_whole_file(trace: TraceReporter, tmp_path: Path) -> None:
    trace.step_started(1, "RUN sleep")
    trace.step_progress(1, "layer", 1, 0)
    trace.close()
    (step,) = [event for event in read(tmp_path / "trace.json") if event.get("cat") == "step"]
    assert step["args"]["state"] == "cancelled"


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(WerfError, match="--trace"):
        TraceReporter(PlainReporter(io.StringIO()), str(tmp_path / "missing" / "trace.json"))


def test_spans_of_other_views_do_nothing() -> None:
    with spans_of(PlainReporter(io.StringIO()))("hash", "x"):
        pass
