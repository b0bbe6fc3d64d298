"""The plain view: one line an event, as BuildKit's `--progress=plain`, for pipes and log files."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from pywerf.report.events import Level, StepState
from pywerf.report.out import Out, TextStream
from pywerf.report.steps import Step, Steps, failure_tail
from pywerf.report.text import clean, human_size, seconds
from pywerf.report.verbosity import Verbosity, shows

__all__ = ["PlainReporter", "message_line"]

# A transfer that goes on is told about this often, in seconds.
TRANSFER_INTERVAL = 5.0
# A step that writes keeps the word while it pauses no longer than this, and no longer than that in all, in seconds.
PAUSE = 0.5
TURN = 5.0

_CODES = {"red": "31", "yellow": "33", "green": "32", "cyan": "36"}


class PlainReporter:
    """Writes `#5 [stage-1 2/5] RUN make`, `#5 0.312 output`, `#5 CACHED`, `#5 DONE 0.4s`.

    Steps run in parallel: lines of another step begin a new block that repeats the step's name. So that blocks are
    worth reading, a step that writes keeps the word for a while; what the others write meanwhile waits, at most TURN.
    """

    def __init__(
        self,
        stream: TextStream,
        verbosity: Verbosity = "normal",
        *,
        color: bool = False,
        clock: Callable[[], float] = time.monotonic,
        stamp: Callable[[], str] | None = None,
        prompts: bool = False,
    ) -> None:
        """`stamp` gives what every line begins with: the time, say. `prompts`: what has no end of line yet is shown."""
        self.out = Out(stream)
        self._stamp = stamp
        self._prompts = prompts
        self._verbosity = verbosity
        self._color = color
        self._clock = clock
        self._lock = threading.RLock()
        self._steps = Steps(color=color)
        self._current: Step | None = None
        self._since = 0.0  # when the current step got the word
        self._wrote = -PAUSE  # when it wrote last
        self._waiting: dict[int, tuple[Step, list[str]]] = {}  # by number, the one that waits longest first
        self._timer: threading.Timer | None = None
        self._told: dict[tuple[int, str], float] = {}
        self._closed = False

    def onto(self, stream: TextStream) -> PlainReporter:
        """A view as this one is, onto another stream."""
        return PlainReporter(
            stream, self._verbosity, color=self._color, clock=self._clock, stamp=self._stamp, prompts=self._prompts
        )

    def step_started(self, step: int, name: str, *, source: str = "") -> None:
        with self._lock:
            self._write(self._block(self._steps.start(step, clean(name), clean(source), self._clock())))

    def step_output(self, step: int, data: bytes, *, stderr: bool = False) -> None:
        with self._lock:
            known = self._steps.get(step, self._clock())
            lines = known.output.feed(data)
            self._output(known, [*lines, *known.output.finish()] if self._prompts else lines)

    def step_progress(self, step: int, what: str, current: int, total: int) -> None:
        with self._lock:
            now = self._clock()
            known = self._steps.get(step, now)
            before = known.transfers.get(what)
            known.transfers[what] = (current, total)
            complete = 0 < total <= current
            told = self._told.get((step, what))
            if (before is not None and before[1] and before[0] >= before[1]) or (
                not complete and told is not None and now - told < TRANSFER_INTERVAL
            ):
                return
            self._told[(step, what)] = now
            line = f"#{known.number} {clean(what)} {human_size(current)}"
            if total > 0:
                line += f" / {human_size(total)}"
            if complete:
                line += " done"
            self._write([*self._block(known), line])

    def step_finished(self, step: int, state: StepState, *, error: str = "") -> None:
        with self._lock:
            now = self._clock()
            known = self._steps.get(step, now)
            self._output(known, known.output.finish(), last=True)
            known.finished, known.state, known.error = now, state, error
            if state == "cached":
                ending = self._paint("CACHED", "cyan")
            elif state == "done":
                ending = self._paint("DONE", "green") + f" {seconds(now - known.started)}"
            elif state == "cancelled":
                ending = self._paint("CANCELED", "yellow")
            else:
                # The block's first line has the step's name already.
                error = clean(error).removeprefix(f"{known.name}: ")
                ending = self._paint("ERROR", "red") + (f": {error}" if error else "")
            self._write([*self._block(known), f"#{known.number} {ending}"])
            self._next()

    def message(self, level: Level, text: str) -> None:
        if not shows(self._verbosity, level):
            return
        with self._lock:
            self._write([*self._leave(), *message_line(level, text, self._color).split("\n")])

    def suspended(self) -> AbstractContextManager[None]:
        """See util/suspend.py."""
        return self.out.suspended()

    def close(self) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = True
            if self._timer is not None:
                self._timer.cancel()
            for step in self._steps.all():
                if step.state is None:
                    self._output(step, step.output.finish(), last=True)
            tail = failure_tail(self._steps)
            if tail:
                self._write([*self._leave(), *tail])

    def _output(self, step: Step, lines: list[str], *, last: bool = False) -> None:
        """Write lines of a step, or let them wait until it has the word; `last`: nothing comes after them."""
        now = self._clock()
        prefix = f"#{step.number} {now - step.started:.3f} "
        texts = [prefix + line for line in lines]
        if step is not self._current and not last and self._has_word(now):
            if texts:
                self._waiting.setdefault(step.number, (step, []))[1].extend(texts)
                self._start_timer()
            return
        texts = [*self._waiting.pop(step.number, (step, []))[1], *texts]
        if texts:
            self._write([*self._block(step), *texts])
            self._wrote = now
            if now - self._since >= TURN:
                self._next()

    def _has_word(self, now: float) -> bool:
        """Whether the current step may go on writing before all others."""
        step = self._current
        return step is not None and step.state is None and now - self._wrote < PAUSE and now - self._since < TURN

    def _next(self) -> None:
        """Give the word to the step that has waited longest."""
        for number, (step, texts) in self._waiting.items():
            del self._waiting[number]
            self._write([*self._block(step), *texts])
            self._wrote = self._clock()
            return

    def _start_timer(self) -> None:
        """See to it that lines do not wait for longer than a turn when nobody writes any more."""
        if self._timer is None:
            self._timer = threading.Timer(PAUSE, self._tick)
            self._timer.daemon = True
            self._timer.start()

    def _tick(self) -> None:
        with self._lock:
            self._timer = None
            if self._closed:
                return
            if not self._has_word(self._clock()):
                self._next()
            if self._waiting:
                self._start_timer()

    def _block(self, step: Step) -> list[str]:
        """The lines that lead to the block of `step`: none when the last line was its own."""
        if self._current is step:
            return []
        lines = self._leave()
        self._current = step
        self._since, self._wrote = self._clock(), -PAUSE
        name = f"#{step.number} {step.name}"
        if step.source and self._verbosity in ("verbose", "debug"):
            name += f" ({step.source})"
        return [*lines, name]

    def _leave(self) -> list[str]:
        """The lines that end the block of the current step."""
        step, self._current = self._current, None
        if step is None:
            return []
        return [""] if step.state is not None else [f"#{step.number} ...", ""]

    def _paint(self, text: str, color: str) -> str:
        return f"\x1b[{_CODES[color]}m{text}\x1b[0m" if self._color else text

    def _write(self, lines: list[str]) -> None:
        if self._stamp is not None:
            stamp = self._stamp()
            lines = [f"{stamp} {line}" if line else line for line in lines]
        self.out.lines(lines)


def message_line(level: Level, text: str, color: bool = False) -> str:
    """A message as a line: warnings and errors say what they are."""
    text = clean(text)
    if level == "info":
        return text
    label = {"debug": "debug", "warning": "Warning", "error": "Error"}[level]
    if color and level != "debug":
        label = f"\x1b[{_CODES['yellow' if level == 'warning' else 'red']}m{label}\x1b[0m"
    return f"{label}: {text}"
