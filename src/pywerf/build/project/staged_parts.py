"""Which stages of a Dockerfile a staged image still needs: those of which something is missing, and what they need."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from pywerf.build.project.image_plan import PlannedImage, PlannedStage, planned_part
from pywerf.build.project.results import BuiltPlatform, BuiltStage

if TYPE_CHECKING:
    from pywerf.build.project.staged_plan import StagedPlan
    from pywerf.build.project.storage.model import StageDescription
    from pywerf.frontend.dockerfile.ast import Dockerfile
    from pywerf.oci.platform import Platform

__all__ = ["NeededParts", "check_lines", "look_for_parts"]

Find = Callable[[Sequence[PlannedStage], "StageDescription | None"], tuple[BuiltStage, ...]]
"""Finds stages as they are published, up to the first that is missing: ImageBuilder.find."""


class NeededParts(msgspec.Struct, frozen=True):
    """The stages of a Dockerfile by their numbers: those that are `found` as a whole, and those that are `missing`.

    A missing one has a level: it needs none of its own level or of a higher one. What nobody needs is in neither.
    """

    found: Mapping[int, BuiltPlatform]
    missing: Mapping[int, int]


def look_for_parts(plan: StagedPlan, target: PlannedImage, platform: Platform, find: Find) -> NeededParts:
    """What the target needs for a platform. The stage that it is built on is looked for always; one that files come

    from only when an instruction that takes them is missing.
    """
    found: dict[int, BuiltPlatform] = {}
    missing: dict[int, int] = {}

    def level(number: int) -> int:
        """One above that of what is missing; 0 when it is found."""
        return missing[number] + 1 if number in missing else 0

    def visit(number: int) -> None:
        if number in found or number in missing:
            return
        part = plan.parts[number]
        stages = target.stages if number == plan.target else planned_part(plan, number)
        there: tuple[BuiltStage, ...] = ()
        at = 0
        if part.base_part is not None:
            visit(part.base_part)
            at = level(part.base_part)
        if part.base_part not in missing:
            there = find(stages, None if part.base_part is None else found[part.base_part].last)
        if len(there) == len(stages):
            shown = platform if number == plan.target else part.platform
            found[number] = BuiltPlatform(str(shown), there, stages[-1].content_digest)
            return
        for stage in stages[len(there) :]:
            for other in stage.step.needs if stage.step is not None else ():
                visit(other)
                at = max(at, level(other))
        missing[number] = at

    visit(plan.target)
    return NeededParts(found, missing)


def check_lines(
    dockerfile: Dockerfile, build_args: Sequence[Mapping[str, str]], target: str, platforms: Sequence[Platform]
) -> list[str]:
    """What the build checks say of a whole Dockerfile, of which each instruction is built alone, for all platforms.

    Raises DockerfileError where `# check=error=true` makes warnings errors.
    """
    from pywerf.frontend.dockerfile.analysis import Subject
    from pywerf.frontend.dockerfile.lint import check
    from pywerf.oci.platform import host_platform

    lines: list[str] = []
    for args, platform in zip(build_args, platforms, strict=True):
        report = check(dockerfile, Subject(args, target, host_platform(), platform))
        if report.violation is not None:
            raise report.violation
        lines += [warning.summary for warning in report.warnings]
    return list(dict.fromkeys(lines))
