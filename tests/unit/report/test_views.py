"""Which view is chosen, and the quiet and the JSON ones."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from typing import Any

import pytest

from pywerf.report.json import JsonReporter
from pywerf.report.quiet import QuietReporter
from pywerf.report.views import make_reporter, wants_color


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("mode", "verbosity", "terminal", "kind"),
    [
        ("auto", "normal", False, "PlainReporter"),
        ("auto", "normal", True, "TtyReporter"),
        ("auto", "debug", True, "PlainReporter"),
        ("auto", "quiet", True, "QuietReporter"),
        ("plain", "normal", True, "PlainReporter"),
        ("plain", "quiet", False, "QuietReporter"),
        ("tty", "normal", True, "TtyReporter"),
        ("tty", "normal", False, "PlainReporter"),
        ("quiet", "debug", True, "QuietReporter"),
        ("rawjson", "normal", True, "JsonReporter"),
    ],
)
def test_the_choice(mode: Any, verbosity: Any, terminal: bool, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal() if terminal else io.StringIO()
    assert type(make_reporter(mode, stream, verbosity)).__name__ == kind


def test_a_dumb_terminal_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    assert type(make_reporter("tty", Terminal())).__name__ == "PlainReporter"


def test_color(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert wants_color(Terminal())
    assert not wants_color(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not wants_color(Terminal())
    closed = io.StringIO()
    closed.close()
    assert not wants_color(closed)


def test_quiet_tells_what_went_wrong_only() -> None:
    stream = io.StringIO()
    view = QuietReporter(stream)
    view.message("info", "hello")
    view.message("warning", "careful")
    view.step_started(1, "RUN a")
    view.step_progress(1, "x", 1, 2)
    view.step_output(1, b"fine\n")
    view.step_finished(1, "done")
    view.step_started(2, "RUN b")
    view.step_output(2, b"bad\nworse")
    view.step_finished(2, "failed", error="exit code 1")
    view.close()
    view.close()
    assert stream.getvalue() == "Warning: careful\n------\n > RUN b:\nbad\nworse\n------\n"


def test_quiet_outlives_its_reader(broken_stream: io.StringIO) -> None:
    view = QuietReporter(broken_stream)
    view.message("error", "x")
    view.close()


def test_json_speaks_of_vertexes_statuses_and_logs() -> None:
    stream = io.StringIO()
    view = JsonReporter(stream)
    view.step_started(1, "RUN a", source="Dockerfile:2")
    view.step_output(1, b"\xffx", stderr=True)
    view.step_progress(1, "sha256:ab", 1, 2)
    view.step_progress(1, "sha256:ab", 2, 2)
    view.step_finished(1, "failed", error="exit code 1")
    view.step_started(2, "RUN b")
    view.step_finished(2, "cached")
    view.step_finished(3, "cancelled")
    view.message("warning", "careful")
    view.message("info", "hello")
    view.message("debug", "hidden")
    view.close()
    events = [json.loads(line) for line in stream.getvalue().splitlines()]
    kinds = [next(iter(event)) for event in events]
    assert kinds == [
        "vertexes", "logs", "statuses", "statuses", "vertexes",
        "vertexes", "vertexes", "vertexes", "warnings", "messages",
    ]  # fmt: skip
    started, log, half, whole, failed, _, cached, cancelled, warning, message = (
        event[kind][0] for event, kind in zip(events, kinds, strict=True)
    )
    assert started["name"] == "RUN a"
    assert started["source"] == "Dockerfile:2"
    assert "completed" not in started
    assert log["vertex"] == started["digest"] == failed["digest"]
    assert base64.b64decode(log["data"]) == b"\xffx"
    assert log["stream"] == 2
    assert "completed" not in half
    assert whole["completed"] >= whole["started"] == half["started"]
    assert failed["error"] == "exit code 1"
    assert failed["completed"] >= failed["started"]
    assert cached["cached"] is True
    assert cancelled["error"] == "context canceled"
    assert base64.b64decode(warning["short"]) == b"careful"
    assert message["text"] == "hello"


def test_json_from_many_threads(from_many_threads: Callable[[Any], None], broken_stream: io.StringIO) -> None:
    stream = io.StringIO()
    view = JsonReporter(stream)
    from_many_threads(lambda n: [view.step_output(n, b"x") for _ in range(50)])
    assert len([json.loads(line) for line in stream.getvalue().splitlines()]) == 400
    JsonReporter(broken_stream).message("error", "x")


def test_where_commands_ask_for_something_nothing_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    assert type(make_reporter("auto", Terminal(), prompts=True)).__name__ == "PlainReporter"
    assert type(make_reporter("tty", Terminal(), prompts=True)).__name__ == "TtyReporter"
