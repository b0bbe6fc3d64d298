"""A reporter that remembers."""

from __future__ import annotations

from pywerf.util.events import Level, StepState


class Recorder:
    """`steps` are (name, source, state, output) in the order of their first start; `messages` are texts."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.progress: list[tuple[str, int, int]] = []
        self._steps: dict[int, list[object]] = {}

    @property
    def steps(self) -> list[tuple[object, ...]]:
        return [tuple(step) for step in self._steps.values()]

    def step_started(self, step: int, name: str, *, source: str = "") -> None:
        self._steps.setdefault(step, [name, source, "", b""])

    def step_output(self, step: int, data: bytes, *, stderr: bool = False) -> None:
        self._steps[step][3] += data  # type: ignore[operator]

    def step_progress(self, step: int, what: str, current: int, total: int) -> None:
        self.progress.append((what, current, total))

    def step_finished(self, step: int, state: StepState, *, error: str = "") -> None:
        self._steps[step][2] = state

    def message(self, level: Level, text: str) -> None:
        self.messages.append(text)

    def close(self) -> None:
        """Nothing is held."""
