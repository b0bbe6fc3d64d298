"""The live view for terminals: finished steps scroll up, the running ones move below them.

rich is imported by the painting thread, and only when a build takes long enough to be watched: a
build that is cached costs no import.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from pywerf.report.events import Level, StepState
from pywerf.report.plain import message_line
from pywerf.report.steps import Step, Steps, failure_tail
from pywerf.report.text import clean, human_size, seconds
from pywerf.report.verbosity import Verbosity, shows

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live
    from rich.text import Text

__all__ = ["TtyReporter"]

# Seconds before the first picture, and between two of them.
PATIENCE = 0.15
INTERVAL = 0.1
OUTPUT_LINES = 5

_MARKS: dict[StepState, tuple[str, str]] = {
    "done": ("✔", "green"),
    "cached": ("●", "cyan"),
    "failed": ("✘", "red"),
    "cancelled": ("–", "yellow"),
}


class TtyReporter:
    """Steps with their times; cached ones marked; last lines of output and transfers of the running ones.

    The painting thread starts with the first step, not before: an engine that enters a user namespace
    has to be alone in its process until then.
    """

    def __init__(
        self,
        stream: TextIO,
        verbosity: Verbosity = "normal",
        *,
        color: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream
        self._verbosity = verbosity
        self._color = color
        self._clock = clock
        self._lock = threading.Lock()
        self._steps = Steps()
        self._begun = clock()
        self._pending: list[tuple[str, str]] = []  # (text, style) to be written above the live part
        self._wake = threading.Event()
        self._painter: threading.Thread | None = None
        self._closed = False
        self._suspended = False

    def step_started(self, step: int, name: str, *, source: str = "") -> None:
        with self._lock:
            self._steps.start(step, clean(name), clean(source), self._clock())
            self._start_painter()

    def _start_painter(self) -> None:
        if self._painter is None and not self._closed and not self._suspended:
            self._painter = threading.Thread(target=self._paint, name="terminal", daemon=True)
            self._painter.start()

    def step_output(self, step: int, data: bytes, *, stderr: bool = False) -> None:
        with self._lock:
            lines = self._steps.get(step, self._clock()).output.feed(data)
            if self._verbosity in ("verbose", "debug"):
                self._pending.extend((f"   {line}", "dim") for line in lines)

    def step_progress(self, step: int, what: str, current: int, total: int) -> None:
        with self._lock:
            self._steps.get(step, self._clock()).transfers[clean(what)] = (current, total)

    def step_finished(self, step: int, state: StepState, *, error: str = "") -> None:
        with self._lock:
            now = self._clock()
            known = self._steps.get(step, now)
            known.output.finish()
            known.finished, known.state, known.error = now, state, clean(error)
            mark, style = _MARKS[state]
            text = f" {mark} {known.name}"
            if known.source and self._verbosity in ("verbose", "debug"):
                text += f" ({known.source})"
            text += {"cached": "  CACHED", "done": f"  {seconds(now - known.started)}", "cancelled": "  canceled"}.get(
                state, "  ERROR"
            )
            self._pending.append((text, style))

    def message(self, level: Level, text: str) -> None:
        if not shows(self._verbosity, level):
            return
        style = {"warning": "yellow", "error": "red", "debug": "dim"}.get(level, "")
        with self._lock:
            self._pending.append((message_line(level, text), style))
            waiting = self._painter is None and not self._suspended
        if waiting:
            self._write_pending()

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """See util/suspend.py. What has failed is shown before, with its last output."""
        self._stop_painter(suspend=True)
        with self._lock:
            self._pending.extend((line, "") for line in failure_tail(self._steps))
        self._write_pending()
        try:
            yield
        finally:
            with self._lock:
                self._suspended = False
                self._wake.clear()
                if any(step.state is None for step in self._steps.all()):
                    self._start_painter()
            if self._painter is None:
                self._write_pending()

    def _stop_painter(self, *, suspend: bool = False) -> None:
        with self._lock:
            painter, self._painter = self._painter, None
            self._suspended = suspend
        self._wake.set()
        if painter is not None:
            painter.join()

    def close(self) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._stop_painter()
        with self._lock:
            steps = self._steps.all()
            if steps and any(step.state is not None for step in steps):
                self._pending.append((self._headline(self._clock()), ""))
            self._pending.extend((line, "") for line in failure_tail(self._steps))
        self._write_pending()

    def _paint(self) -> None:
        """The painting thread: until `close`, a new picture ten times a second."""
        if self._wake.wait(PATIENCE):
            return
        try:
            from rich.console import Console
            from rich.live import Live

            class Screen(Console):
                def on_broken_pipe(self) -> None:
                    # rich's own way shuts stdout off and ends the program.
                    raise BrokenPipeError

            console = Screen(file=self._stream, no_color=not self._color, highlight=False, emoji=False, markup=False)
            with Live(
                console=console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False
            ) as live:
                while True:
                    stop = self._wake.wait(INTERVAL)
                    self._picture(console, live)
                    if stop:
                        live.update("", refresh=True)
                        return
        except (OSError, ValueError):
            # The terminal is gone. The build goes on: what is shown must never decide its outcome.
            self._color = False

    def _picture(self, console: Console, live: Live) -> None:
        from rich.text import Text

        with self._lock:
            pending, self._pending = self._pending, []
            now = self._clock()
            running = [step for step in self._steps.all() if step.state is None]
            rows: list[Text] = [Text(f"[+] {self._headline(now)}", style="bold", no_wrap=True, overflow="ellipsis")]
            room = max(4, console.height - 2)
            for step in running:
                rows.extend(_step_rows(step, now, console.width))
        for text, style in pending:
            console.print(Text(text, style=style), soft_wrap=True)
        live.update(_lines(rows[:room]), refresh=True)

    def _headline(self, now: float) -> str:
        steps = self._steps.all()
        finished = sum(step.state is not None for step in steps)
        return f"Building {seconds(now - self._begun)} ({finished}/{len(steps)})"

    def _write_pending(self) -> None:
        """Write what waits without rich: before the first picture, and after the last."""
        with self._lock:
            pending, self._pending = self._pending, []
            codes = {"green": "32", "cyan": "36", "red": "31", "yellow": "33", "dim": "2"}
            lines = [
                f"\x1b[{codes[style]}m{text}\x1b[0m\n" if style and self._color else f"{text}\n"
                for text, style in pending
            ]
            try:
                self._stream.writelines(lines)
                self._stream.flush()
            except (OSError, ValueError):
                # As above: nobody reads any more, and nothing is lost by it but the picture.
                return


def _step_rows(step: Step, now: float, width: int) -> list[Text]:
    from rich.text import Text

    rows = [Text(f" ▸ {step.name}  {seconds(now - step.started)}", no_wrap=True, overflow="ellipsis")]
    for what, (current, total) in step.transfers.items():
        if not 0 < total <= current:
            rows.append(
                Text(f"   {what} {_bar(current, total, width // 3)}", style="dim", no_wrap=True, overflow="crop")
            )
    lines = [*step.output.last, *([step.output.partial] if step.output.partial else [])]
    for line in lines[-OUTPUT_LINES:]:
        rows.append(Text(f"   {line.expandtabs()}", style="dim", no_wrap=True, overflow="ellipsis"))
    return rows


def _bar(current: int, total: int, width: int) -> str:
    if total <= 0:
        return human_size(current)
    filled = min(width, current * width // total)
    return f"{'━' * filled}{'╌' * (width - filled)} {human_size(current)} / {human_size(total)}"


def _lines(rows: list[Text]) -> RenderableType:
    from rich.console import Group

    return Group(*rows)
