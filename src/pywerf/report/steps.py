"""What the views know of the steps of a build: names, times, last lines of output, transfers."""

from __future__ import annotations

from pywerf.report.events import StepState
from pywerf.report.text import OutputLines

__all__ = ["TAIL", "Step", "Steps", "failure_tail"]

TAIL = 20


class Step:
    """One step. `number` counts from 1 in the order of appearance; times are those of the view's clock."""

    __slots__ = ("error", "finished", "name", "number", "output", "source", "started", "state", "transfers")

    def __init__(self, number: int, name: str, source: str, started: float, *, color: bool) -> None:
        self.number = number
        self.name = name
        self.source = source
        self.started = started
        self.finished: float | None = None
        self.state: StepState | None = None
        self.error = ""
        self.output = OutputLines(color=color, keep=TAIL)
        self.transfers: dict[str, tuple[int, int]] = {}  # what: (current, total)


class Steps:
    """The steps by the integer that events name them with."""

    __slots__ = ("_by_id", "_color")

    def __init__(self, *, color: bool = False) -> None:
        self._by_id: dict[int, Step] = {}
        self._color = color

    def start(self, step: int, name: str, source: str, now: float) -> Step:
        """Introduce a step. A second start of the same step changes its name only."""
        known = self._by_id.get(step)
        if known is not None:
            known.name, known.source = name, source
            return known
        self._by_id[step] = Step(len(self._by_id) + 1, name, source, now, color=self._color)
        return self._by_id[step]

    def get(self, step: int, now: float) -> Step:
        """The step; one that nobody introduced gets a name of its own, since a view never raises."""
        return self._by_id.get(step) or self.start(step, f"step {step}", "", now)

    def all(self) -> list[Step]:
        """Every step in the order of appearance."""
        return list(self._by_id.values())

    def failed(self) -> list[Step]:
        """The steps that failed."""
        return [step for step in self._by_id.values() if step.state == "failed"]


def failure_tail(steps: Steps) -> list[str]:
    """What is shown at the end for each failed step: its name and its last lines of output."""
    lines: list[str] = []
    for step in steps.failed():
        if not step.output.last:
            continue
        lines.append("------")
        lines.append(f" > {step.name}:")
        lines.extend(step.output.last)
    if lines:
        lines.append("------")
    return lines
