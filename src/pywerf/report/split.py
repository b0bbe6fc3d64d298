"""`--logsplit`: the steps of each platform go to a view of that platform, all else to the common one."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence

from pywerf.errors import InvalidPlatform
from pywerf.oci.platform import Platform
from pywerf.report.events import Level, Reporter, StepState

__all__ = ["SplitReporter"]

_PLATFORM = re.compile(r"\[([a-z]\w*/[^\s\]]+) ")


class SplitReporter:
    """A step belongs to the platform that its name begins with: `[linux/arm64 stage-1 2/5] RUN make`.

    `part` makes the view of a platform, of `platforms` at once, of others when their first step begins. Variants of
    one architecture share it. A step that several platforms share is named after the first of them.
    """

    def __init__(
        self, common: Reporter, part: Callable[[Platform], Reporter], platforms: Sequence[Platform] = ()
    ) -> None:
        self._common = common
        self._part = part
        self._parts: dict[tuple[str, str], Reporter] = {}
        self._steps: dict[int, Reporter] = {}
        self._lock = threading.Lock()
        for platform in platforms:
            self._part_of(platform)

    def step_started(self, step: int, name: str, *, source: str = "") -> None:
        with self._lock:
            view = self._steps[step] = self._view(name)
        view.step_started(step, name, source=source)

    def _view(self, name: str) -> Reporter:
        found = _PLATFORM.match(name)
        if found is None:
            return self._common
        try:
            platform = Platform.parse(found[1])
        except InvalidPlatform:
            return self._common
        return self._part_of(platform)

    def _part_of(self, platform: Platform) -> Reporter:
        key = platform.os, platform.architecture
        if key not in self._parts:
            self._parts[key] = self._part(platform)
        return self._parts[key]

    def _of(self, step: int) -> Reporter:
        return self._steps.get(step, self._common)

    def step_output(self, step: int, data: bytes, *, stderr: bool = False) -> None:
        self._of(step).step_output(step, data, stderr=stderr)

    def step_progress(self, step: int, what: str, current: int, total: int) -> None:
        self._of(step).step_progress(step, what, current, total)

    def step_finished(self, step: int, state: StepState, *, error: str = "") -> None:
        self._of(step).step_finished(step, state, error=error)

    def message(self, level: Level, text: str) -> None:
        self._common.message(level, text)

    def close(self) -> None:
        for view in (*self._parts.values(), self._common):
            view.close()
