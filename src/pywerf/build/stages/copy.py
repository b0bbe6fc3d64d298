"""Copies stages, several at once, and then the records that go with them."""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import msgspec

from pywerf.build.project.storage.model import StageId
from pywerf.build.stages.contents import Contents
from pywerf.build.stages.places import REJECTED_THERE, THERE
from pywerf.errors import RegistryNotFound, WerfError

if TYPE_CHECKING:
    from pywerf.build.stages.places import Image, Origin, Target
    from pywerf.util.events import Reporter, StepState

__all__ = ["Copied", "copy_stages"]


class Copied(msgspec.Struct, frozen=True):
    """What a copy came to: stages that were copied, those that were not and why, and records that are new."""

    stages: int = 0
    left_out: dict[str, int] = {}
    records: int = 0

    def __str__(self) -> str:
        parts = [_counted(self.stages, "stage"), _counted(self.records, "record")]
        text = f"{', '.join(parts)} copied"
        for why, count in sorted(self.left_out.items()):
            text += f"; {_counted(count, 'stage')} {why}"
        return text


def copy_stages(
    contents: Contents, origin: Origin, target: Target, reporter: Reporter, *, jobs: int, may_vanish: bool = False
) -> Copied:
    """Copy what there is to copy, up to `jobs` stages at once. What the target has is not sent.

    `may_vanish`: a stage that is deleted at the origin meanwhile is left out, with a warning; else that is an error.
    Raises WerfError, which names the stage: those that were copied before it stay, in a repository; of an archive
    nothing is left.
    """
    from pywerf.registry.parallel import run_all

    if not contents.stages:
        reporter.message("warning", f"{origin.name} has no stages of the project {contents.project}")
    skipped = target.there(contents.stages)
    todo = [stage for stage in contents.stages if stage not in skipped]
    left_out = Counter(skipped.values())
    for why, count in left_out.items():
        reporter.message("info", f"{_counted(count, 'stage')} {why}: not copied")
    run = _Run(origin, target, reporter, len(todo), may_vanish)
    try:
        for group in ([stage for stage in todo if stage.is_index is wanted] for wanted in (False, True)):
            run_all([run.work(stage) for stage in group], jobs)
        left_out += Counter({THERE: run.brought, "gone": len(run.gone)})
        unused = {stage for stage, why in skipped.items() if why == REJECTED_THERE}
        records = target.finish(contents.without(run.gone | unused), jobs)
    finally:
        target.abandon()
    return Copied(run.copied, dict(left_out), records)


class _Run:
    """One copy, and what has become of its stages."""

    def __init__(self, origin: Origin, target: Target, reporter: Reporter, total: int, may_vanish: bool) -> None:
        self.gone: set[StageId] = set()
        self.brought = 0  # by others, meanwhile
        self.copied = 0
        self._origin = origin
        self._target = target
        self._reporter = reporter
        self._total = total
        self._may_vanish = may_vanish
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def work(self, stage: StageId) -> Callable[[threading.Event], None]:
        """What copies one stage."""
        return lambda stop: self._one(stage, stop)

    def _one(self, stage: StageId, stop: threading.Event) -> None:
        told = _Told(self._reporter, self._numbers, self._total, stage)
        try:
            taken = self._target.take(stage, lambda: self._open(stage), told.progress, stop)
        except _Vanished:
            told.finish("cancelled")
            self._reporter.message("warning", f"{self._origin.name}:{stage} is gone: it is left out")
            with self._lock:
                self.gone.add(stage)
        except WerfError as error:
            told.finish("cancelled" if stop.is_set() else "failed", error.message)
            error.message = f"stage {stage}: {error.message}"
            raise
        except BaseException:
            told.finish("cancelled")
            raise
        else:
            told.finish("done" if taken else "cached")
            with self._lock:
                self.copied += taken
                self.brought += not taken

    def _open(self, stage: StageId) -> Image:
        try:
            return self._origin.image(stage)
        except RegistryNotFound as error:
            if self._may_vanish:
                raise _Vanished from error
            raise


class _Told:
    """A step of the report that begins when there is something to tell: a blob is sent, or the stage is there.

    Most stages are there at once, since others have brought what they are made of.
    """

    def __init__(self, reporter: Reporter, numbers: Iterator[int], total: int, stage: StageId) -> None:
        self._reporter = reporter
        self._numbers = numbers
        self._total = total
        self._stage = stage
        self._lock = threading.Lock()
        self._step = 0  # not begun
        self._sent: set[str] = set()

    def progress(self, what: str, done: int, size: int) -> None:
        """registry.copy.Progress: of blobs that are sent; what was there is not told."""
        if not done:
            self._sent.add(what)
        if what in self._sent:
            self._begin()
            self._reporter.step_progress(self._step, what, done, size)

    def finish(self, state: StepState, error: str = "") -> None:
        """The step has ended."""
        self._begin()
        self._reporter.step_finished(self._step, state, error=error)

    def _begin(self) -> None:
        with self._lock:
            if not self._step:
                self._step = next(self._numbers)
                name = f"[{self._step}/{self._total}] copying stage {self._stage}"
                self._reporter.step_started(self._step, name)


class _Vanished(Exception):
    """A stage is at the origin no more."""


def _counted(count: int, what: str) -> str:
    return f"{count} {what if count == 1 else what + 's'}"
