"""The live view on a real pseudo terminal."""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

import pytest

from pywerf.report import tty
from pywerf.report.tty import TtyReporter


class Screen:
    """What came out of the terminal."""

    def __init__(self) -> None:
        self.data = b""

    @property
    def text(self) -> str:
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.data.decode())

    def wait_for(self, text: str) -> None:
        """Until `text` has been shown; fails after a generous time."""
        deadline = time.monotonic() + 30
        while text not in self.text:
            assert time.monotonic() < deadline, self.text
            time.sleep(0.01)


@contextmanager
def terminal() -> Iterator[tuple[TextIO, Screen]]:
    """A stream on a pseudo terminal, and what it shows."""
    master, slave = pty.openpty()
    screen = Screen()

    def read() -> None:
        while True:
            try:
                data = os.read(master, 65536)
            except OSError:  # EIO: the other side is closed
                return
            screen.data += data

    reader = threading.Thread(target=read)
    with os.fdopen(slave, "w") as stream:
        reader.start()
        yield stream, screen
    reader.join()
    os.close(master)


@pytest.fixture(autouse=True)
def _terminal_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "24")
    monkeypatch.delenv("NO_COLOR", raising=False)


def test_a_long_build(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tty, "PATIENCE", 0.0)
    monkeypatch.setattr(tty, "INTERVAL", 0.02)
    with terminal() as (stream, screen):
        view = TtyReporter(stream)
        view.message("info", "native-chroot")
        view.step_started(1, "[1/3] FROM debian")
        view.step_progress(1, "sha256:ab12", 10_000_000, 40_000_000)
        screen.wait_for("sha256:ab12 ━")
        screen.wait_for("10 MB / 40 MB")
        view.step_finished(1, "cached")
        screen.wait_for("● [1/3] FROM debian  CACHED")
        view.step_started(2, "[2/3] RUN make " + "x" * 200)
        view.step_output(2, b"compiling \x1b[2J\x1b]0;evil\x07one\nno end yet")
        screen.wait_for("compiling one")
        screen.wait_for("no end yet")
        screen.wait_for("(1/2)")
        view.message("warning", "careful [/not markup]")
        screen.wait_for("Warning: careful [/not markup]")
        view.step_finished(2, "failed", error="exit code 2")
        view.close()
        view.close()
    assert "\x1b]0;evil" not in screen.data.decode()
    # The cursor is shown again, and after the last picture come the last lines of what failed.
    assert screen.data.rfind(b"\x1b[?25h") > screen.data.rfind(b"\x1b[?25l") >= 0
    assert screen.text.rstrip().endswith("compiling one\r\nno end yet\r\n------")
    assert "✘ [2/3] RUN make" in screen.text


def test_a_short_build_never_loads_rich() -> None:
    script = (
        "import os, sys\n"
        "from pywerf.report import tty\n"
        "tty.PATIENCE = 60\n"
        "view = tty.TtyReporter(sys.stdout)\n"
        "view.step_started(1, 'RUN x')\n"
        "view.step_finished(1, 'cached')\n"
        "view.close()\n"
        "sys.stderr.write(str('rich' in sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr == "False"
    assert "● RUN x  CACHED" in done.stdout
    assert "(1/1)" in done.stdout


def test_no_thread_before_the_first_step() -> None:
    before = set(threading.enumerate())
    view = TtyReporter(io.StringIO())
    view.message("info", "x")
    assert set(threading.enumerate()) <= before
    view.close()


def test_a_terminal_that_goes_away_stops_nothing(broken_stream: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tty, "PATIENCE", 0.0)
    monkeypatch.setattr(tty, "INTERVAL", 0.0)
    view = TtyReporter(broken_stream)
    view.step_started(1, "x")
    view.message("info", "y")
    view.step_finished(1, "done")
    view.close()


@pytest.mark.parametrize(
    ("current", "total", "text"),
    [(0, 100, "╌╌╌╌ 0 B / 100 B"), (50, 100, "━━╌╌ 50 B / 100 B"), (100, 100, "━━━━ 100 B / 100 B"), (7, 0, "7 B")],
)
def test_bars(current: int, total: int, text: str) -> None:
    assert tty._bar(current, total, 4) == text


def test_more_steps_than_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tty, "PATIENCE", 0.0)
    monkeypatch.setattr(tty, "INTERVAL", 0.02)
    monkeypatch.setenv("LINES", "6")
    with terminal() as (stream, screen):
        view: Any = TtyReporter(stream)
        for n in range(40):
            view.step_started(n, f"RUN step-{n}")
        screen.wait_for("step-0")
        view.close()
    assert "step-30" not in screen.text.split("Building", 2)[1]
