"""The Dockerfile that builds one instruction of a staged image, on the image of the instruction before it.

It has the instruction's own text, on its own line, so that errors speak of the right place; before it, in the lines
that other instructions had, the FROMs of the parts that files come from (with their numbers, where those are used), and
the ARGs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pywerf.frontend.dockerfile import commands as c

if TYPE_CHECKING:
    from pywerf.build.project.staged_plan import Step
    from pywerf.frontend.dockerfile.ast import Dockerfile
    from pywerf.oci.platform import Platform

__all__ = ["step_args", "step_dockerfile"]


def step_dockerfile(
    dockerfile: Dockerfile, step: Step, base: str, sources: Mapping[int, str], platform: Platform
) -> bytes:
    """The text. `base` is the image that the instruction is built on, `sources` are those of parts, by their numbers;

    `platform` is that of the whole build.
    """
    lines = list(dockerfile.lines[: max((directive.line for directive in dockerfile.directives), default=0)])
    if step.from_trigger:  # its escapes are the usual ones, whatever those of the Dockerfile are
        lines = [line for line in lines if "escape" not in line.partition("=")[0]]
    wanted = {source.part: source for source in step.sources}
    numbered = any(source.by_number for source in step.sources)
    for number in range(step.part) if numbered else sorted(wanted):
        source = wanted.get(number)
        if source is None:
            lines.append("FROM scratch")
        else:
            name = f" AS {source.name}" if source.name else ""
            lines.append(f"FROM {_platform(source.platform, platform)}{sources[number]}{name}")
    lines.append(f"FROM {_platform(step.platform, platform)}{base} AS {step.part_name}")
    if step.args:
        lines.append("ARG " + " ".join(name for name, _ in step.args))
    if not isinstance(step.command, c.From):
        lines += [""] * (step.line - 1 - len(lines))
        lines.append(step.text)
    text = "\n".join(lines)
    return (text if text.endswith("\n") else text + "\n").encode("utf-8", "surrogateescape")


def step_args(step: Step, passed: Mapping[str, str]) -> dict[str, str]:
    """The build args that belong to it."""
    return {**passed, **{name: value for name, value in step.args if value is not None}}


def _platform(own: Platform, whole: Platform) -> str:
    return "" if own == whole else f"--platform={own} "
