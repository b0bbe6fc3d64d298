"""Brings what a builder says of a step back to the lines of the Dockerfile, and words failures as we do."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pywerf.backend.contract import DockerfileBuild, DockerfileStep
from pywerf.backend.docker.errors import explain, wanted_mount
from pywerf.errors import BuildError, ContainerFailed, SourceExcerpt, WerfError
from pywerf.util.exit_status import ending, status_hint

__all__ = ["at_line", "classic_step", "excerpt", "failure", "image_step", "mount_step", "vertex_step"]

_LAYERS = frozenset(("RUN", "COPY", "ADD", "WORKDIR"))
"""The instructions that BuildKit numbers, after FROM."""
_VERTEX = re.compile(r"\[(?:(?P<platform>[a-z0-9]+/[^\s\]]+) )?(?:(?P<stage>\S+) )? *(?P<number>\d+)/(?P<total>\d+)\] ")
_LINE = re.compile(r"dockerfile parse error (?:on )?line (\d+)", re.IGNORECASE)
_FROM = re.compile(r"^\s*FROM\s+(?:--\S+\s+)*(\S+)", re.IGNORECASE)
_USED = re.compile(r"(?:--|[=,])from=([^\s,]+)")
_MOUNT = re.compile(r"--mount=(\S+)")
_VARIABLE = re.compile(r"\$(?:\{[^}]*\}|\w+)")
_EXIT = re.compile(r"(?:returned a non-zero code|exit code): (\d+)")


def vertex_step(steps: Sequence[DockerfileStep], name: str) -> DockerfileStep | None:
    """The instruction behind a vertex of BuildKit: `[build 2/5] RUN make`, `[2/5] …`, `[linux/arm64 build 2/5] …`."""
    match = _VERTEX.match(name)
    if match is None:
        return None
    wanted = match["stage"] or ""
    stages = [step for step in steps if step.keyword == "FROM"]
    found = next((step for step in stages if step.stage_name == wanted), None)
    if found is None and len(stages) == 1:
        found = stages[0]  # a name that it has all the same comes of a cache mount, to which 20.10 makes a stage
    if found is None:
        return None
    mine = [step for step in steps if step.stage == found.stage and step.keyword in _LAYERS]
    number, total = int(match["number"]), int(match["total"])
    if name[match.end() :].startswith("FROM "):
        return found
    # what is numbered before them is FROM (none for `scratch`), and the triggers of the base image
    index = number - 1 - (total - len(mine))
    return mine[index] if 0 <= index < len(mine) else found


def classic_step(steps: Sequence[DockerfileStep], number: int) -> DockerfileStep | None:
    """The instruction of `Step NUMBER/TOTAL` of the classic builder, which counts all of them from 1."""
    return steps[number - 1] if 0 < number <= len(steps) else None


def image_step(steps: Sequence[DockerfileStep], image: str) -> DockerfileStep | None:
    """The instruction that wants an image, which is called by its full name: a FROM, or else a `--from=`.

    Where variables stand anything may; who says more of the name comes first.
    """
    short = image.removeprefix("docker.io/").removeprefix("library/")
    forms = {image, image.removeprefix("docker.io/"), short}
    forms |= {form.removesuffix(":latest") for form in forms}
    found: list[tuple[bool, int, int]] = []
    for index, step in enumerate(steps):
        for written in (_FROM if step.keyword == "FROM" else _USED).findall(" ".join(step.lines)):
            literal = _VARIABLE.split(written)
            pattern = re.compile(".*".join(map(re.escape, literal)))
            if any(pattern.fullmatch(form) for form in forms):
                found.append((step.keyword != "FROM", -sum(map(len, literal)), index))
    return steps[min(found)[2]] if found else None


def mount_step(steps: Sequence[DockerfileStep], kind: str, id: str) -> DockerfileStep | None:
    """The first RUN with a mount of a kind (secret, ssh) and an id, which may stand in its target or be left out."""
    for step in steps:
        for mount in _MOUNT.findall(" ".join(step.lines)) if step.keyword == "RUN" else ():
            fields = dict(part.partition("=")[::2] for part in mount.split(","))
            target = str(fields.get("target") or fields.get("dst") or fields.get("destination") or "")
            named = fields.get("id") or (target.rpartition("/")[2] if kind == "secret" else "default")
            if fields.get("type") == kind and named == id:
                return step
    return None


def excerpt(step: DockerfileStep | None) -> SourceExcerpt | None:
    """The lines of an instruction, as errors show them."""
    if step is None:
        return None
    return SourceExcerpt(step.source.file, step.source.first, step.source.last, step.lines)


def at_line(error: WerfError, build: DockerfileBuild) -> WerfError:
    """The same error, with the lines of the Dockerfile that its message tells of: by their number, or by a mount."""
    if error.source is not None:
        return error
    mount = wanted_mount(error.message)
    if mount is not None:
        error.source = excerpt(mount_step(build.steps, *mount))
    match = _LINE.search(error.message)
    if match is None:
        return error
    line = int(match[1])
    for step in build.steps:
        if step.source.first <= line <= step.source.last:
            error.source = excerpt(step)
            return error
    lines = build.dockerfile.decode("utf-8", "replace").split("\n")
    if 0 < line <= len(lines):
        error.source = SourceExcerpt(build.name, line, line, (lines[line - 1],))
    return error


def failure(message: str, name: str, step: DockerfileStep | None, *, code: int = 0) -> WerfError:
    """The error of a step called `name` from the builder's words. `code`: the exit status, when it is told apart."""
    if not code:
        match = _EXIT.search(message)
        code = int(match[1]) if match and (step is None or step.keyword == "RUN") else 0
    error: WerfError
    if code:
        error = ContainerFailed(f"{name or 'a command'}: {ending(code)}", status=code, hint=status_hint(code))
    else:
        error = explain(message)
        if type(error) is BuildError and name and name not in error.message:
            error.message = f"{name}: {error.message}"
    error.source = excerpt(step)
    return error
