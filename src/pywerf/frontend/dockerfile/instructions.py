"""Makes typed instructions out of nodes, and stages out of instructions. The conditions and messages are BuildKit's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from pywerf.errors import DockerfileError, SourceExcerpt
from pywerf.frontend.dockerfile import commands as c
from pywerf.frontend.dockerfile.ast import Dockerfile, Node
from pywerf.frontend.dockerfile.builders import BUILDERS, describe
from pywerf.frontend.dockerfile.gotext import parse_int as parse_stage_index
from pywerf.frontend.dockerfile.gotext import strip
from pywerf.util.suggest import did_you_mean

__all__ = [
    "INSTRUCTIONS",
    "describe",
    "find_base_stage",
    "find_stage",
    "parse_instruction",
    "parse_instructions",
    "parse_onbuild",
    "parse_stage_index",
]

INSTRUCTIONS = tuple(BUILDERS)
"""The names of all instructions, in upper case."""


def parse_instructions(
    dockerfile: Dockerfile, seen: Callable[[c.Command], None] | None = None
) -> tuple[tuple[c.Stage, ...], tuple[c.Arg, ...]]:
    """The stages, and the ARGs before the first FROM; `seen` is told of each instruction as it is read.

    Raises DockerfileError for what no build could take, in any stage, needed or not.
    """
    stages: list[c.Stage] = []
    meta_args: list[c.Arg] = []
    current: list[c.Command] = []
    base: c.From | None = None
    for node in dockerfile.nodes:
        command = parse_instruction(node, dockerfile)
        if seen is not None:
            seen(command)
        if isinstance(command, c.From):
            if base is not None:
                stages.append(_stage(len(stages), base, current))
            base, current = command, []
        elif base is not None:
            current.append(command)
        elif isinstance(command, c.Arg):
            meta_args.append(command)
        else:
            raise DockerfileError(
                "no build stage in current context", hint="only ARG may stand before FROM", source=command.source
            )
    if base is None:
        last = dockerfile.nodes[-1]
        raise DockerfileError(
            "dockerfile contains no stages to build",
            hint="write FROM IMAGE, or FROM scratch",
            source=dockerfile.excerpt(last.first, last.last),
        )
    stages.append(_stage(len(stages), base, current))
    return tuple(stages), tuple(meta_args)


def _stage(index: int, base: c.From, commands: list[c.Command]) -> c.Stage:
    return c.Stage(index, base, tuple(commands), describe(base.comments, base.alias))


def find_stage(stages: Sequence[c.Stage], name_or_index: str) -> c.Stage | None:
    """The stage of that name (case does not matter; the last one, if several have it) or number; None for neither.

    Raises DockerfileError for a number that no stage has.
    """
    index = parse_stage_index(name_or_index)
    if index is not None:
        if not 0 <= index < len(stages):
            raise DockerfileError(f"invalid stage index {index}", hint=f"stages are numbered 0 to {len(stages) - 1}")
        return stages[index]
    wanted = name_or_index.lower()
    for stage in reversed(stages):
        if wanted and stage.name == wanted:
            return stage
    return None


def find_base_stage(stages: Sequence[c.Stage], index: int, image: str) -> c.Stage | None:
    """The stage before number `index` that an expanded FROM names (case matters here), or None: it is an image."""
    for stage in reversed(stages[:index]):
        if image and stage.name == image:
            return stage
    return None


def parse_onbuild(expression: str, source: SourceExcerpt | None = None) -> c.Command:
    """The instruction of an image's ONBUILD trigger; `source` (the FROM that brought it) replaces its own place.

    Raises DockerfileError.
    """
    from pywerf.frontend.dockerfile.parser import parse

    try:
        dockerfile = parse(expression, "ONBUILD")
        if len(dockerfile.nodes) != 1:
            raise DockerfileError("onbuild trigger should be a single expression")
        command = parse_instruction(dockerfile.nodes[0], dockerfile)
        if isinstance(command, c.From):
            raise DockerfileError("FROM isn't allowed as an ONBUILD trigger")
    except DockerfileError as error:
        raise DockerfileError(error.message, hint=error.hint, source=source or error.source) from error
    return command if source is None else msgspec.structs.replace(command, source=source)


def parse_instruction(node: Node, dockerfile: Dockerfile) -> c.Command:
    """The typed form of one node of `dockerfile`. Raises DockerfileError."""
    rule = BUILDERS.get(node.name)
    if rule is None:
        suggestion = did_you_mean(node.name, INSTRUCTIONS)
        raise DockerfileError(
            f"unknown instruction: {node.keyword}{suggestion}",
            hint=None if suggestion else "an instruction is the first word of a line; longer lines end with \\",
            source=_caret(node, dockerfile, node.keyword),
        )
    build, flag_kinds = rule
    try:
        source = dockerfile.excerpt(node.first, node.last)
        head: dict[str, Any] = {
            "keyword": node.keyword,
            "code": strip(node.original),
            "source": source,
            "comments": node.comments,
        }
        return build(node, flag_kinds, head)
    except DockerfileError as error:
        if error.source is not None:
            raise
        place = source
        if error.message.startswith(
            ("unknown flag: --", "duplicate flag specified: --", "missing a value on flag: --")
        ):
            flag = error.message.partition(": ")[2].partition(" ")[0]
            place = _caret(node, dockerfile, flag, last=error.message.startswith("duplicate"))
        raise DockerfileError(error.message, hint=error.hint, source=place) from error


def _caret(node: Node, dockerfile: Dockerfile, word: str, *, last: bool = False) -> SourceExcerpt:
    """The node's lines, with a caret under `word` where the first line has it."""
    line = dockerfile.lines[node.first - 1]
    column = (line.rfind(word) if last else line.find(word)) if word else -1
    if column < 0:
        return dockerfile.excerpt(node.first, node.last)
    return dockerfile.excerpt(node.first, node.last, column, len(word))
