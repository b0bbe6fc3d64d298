"""What a build tells while it happens. The views (plain, tty, json) and the trace listen."""

from __future__ import annotations

from typing import Literal, Protocol

__all__ = ["Level", "Reporter", "StepState"]

Level = Literal["debug", "info", "warning", "error"]
StepState = Literal["done", "cached", "failed", "cancelled"]


class Reporter(Protocol):
    """The listener. Every method may be called from any thread, returns at once and never raises.

    A step is named by a small integer that its first `step_started` introduces. Steps of one build are
    named as BuildKit names them: `[internal] load build context`, `[stage-1 2/5] RUN make`,
    `exporting to image`.
    """

    def step_started(self, step: int, name: str, *, source: str = "") -> None:
        """A step begins; `source` is `Dockerfile:7` or empty."""

    def step_output(self, step: int, data: bytes, *, stderr: bool = False) -> None:
        """Output of the step's command, in pieces as it was read."""

    def step_progress(self, step: int, what: str, current: int, total: int) -> None:
        """`what` (a layer's short digest …) has come to `current` of `total` bytes (0: unknown)."""

    def step_finished(self, step: int, state: StepState, *, error: str = "") -> None:
        """A step has ended."""

    def message(self, level: Level, text: str) -> None:
        """A line that belongs to no step: the first line with mode and reason, warnings."""

    def close(self) -> None:
        """No more events: restore the terminal, write what is pending. Idempotent."""
