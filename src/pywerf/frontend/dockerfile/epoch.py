"""SOURCE_DATE_EPOCH of a Dockerfile: a number of seconds, or the name of a source whose time it is to be.

The source is `context` (the build context), a named context, or a stage that does nothing but ADD one thing from a
git repository or a web server (BuildKit, dockerfile2llb).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from pywerf.errors import DockerfileError, SourceExcerpt
from pywerf.frontend.dockerfile import commands as c
from pywerf.frontend.dockerfile.args import ArgScope, StageArgs
from pywerf.frontend.dockerfile.expansion import expand_instruction
from pywerf.frontend.dockerfile.gotext import parse_int
from pywerf.graph.op import ContextOp, HttpOp
from pywerf.oci.platform import Platform

if TYPE_CHECKING:
    from pywerf.frontend.dockerfile.convert import Resolver

__all__ = ["UnknownEpoch", "epoch_source", "is_known_epoch"]

_HINT = "it is a number of seconds since 1970, `context`, a build context, or a stage that only ADDs one remote source"


class UnknownEpoch(DockerfileError):
    """The value is no number and names nothing."""


def is_known_epoch(text: str, stages: Sequence[c.Stage], contexts: Collection[str]) -> bool:
    """Whether the value means something; `contexts` are the names of the named contexts."""
    names = {"context", *contexts, *(stage.name for stage in stages if stage.name)}
    return parse_int(text) is not None or text.lower() in names


def epoch_source(
    text: str, stages: Sequence[c.Stage], scope: ArgScope, resolver: Resolver, platform: Platform
) -> int | ContextOp | HttpOp | None:
    """What the value means: seconds, or a source; None for an image, which has no time of that kind.

    Raises UnknownEpoch, and DockerfileError for a stage that is more than a source.
    """
    seconds = parse_int(text)
    if seconds is not None:
        return seconds
    if text == "context":
        return ContextOp("")
    found = resolver.context(text, platform)
    if found is not None:
        return found if isinstance(found, ContextOp) else None
    for stage in stages:
        if stage.name and stage.name == text.lower():
            return _stage_source(stage, scope, resolver)
    raise UnknownEpoch(f"invalid SOURCE_DATE_EPOCH: {text}", hint=_HINT)


def _stage_source(stage: c.Stage, scope: ArgScope, resolver: Resolver) -> ContextOp | HttpOp:
    if scope.expand_from(stage.base).image != "scratch":
        raise _error("stage must use FROM scratch", stage.base.source)
    args = StageArgs(scope)
    args.env.update((name, value) for name, value in scope.values.items() if name != "SOURCE_DATE_EPOCH")
    source: ContextOp | HttpOp | None = None
    for command in stage.commands:
        if isinstance(command, c.Arg):
            args.declare(command)
        elif isinstance(command, c.Add) and source is None:
            source = _add_source(command, args, scope.escape, resolver)
        elif isinstance(command, c.Add):
            raise _error("stage must contain exactly one remote ADD", command.source)
        else:
            raise _error(
                f"stage does not meet source-only requirements: unsupported {command.name} instruction", command.source
            )
    if source is None:
        raise _error("stage must contain exactly one remote ADD", stage.base.source)
    return source


def _add_source(command: c.Add, args: StageArgs, escape: str, resolver: Resolver) -> ContextOp | HttpOp:
    if command.inline or len(command.sources) != 1:
        raise _error("stage must contain exactly one remote ADD source", command.source)
    expanded = expand_instruction(command, args.lookup, escape)
    found = resolver.remote(expanded.sources[0], expanded.keep_git_dir, expanded.checksum)
    if found is None:
        raise _error("stage source must be a single HTTP(S) or Git ADD", command.source)
    return found


def _error(text: str, source: SourceExcerpt) -> DockerfileError:
    return DockerfileError(f"SOURCE_DATE_EPOCH {text}", hint=_HINT, source=source)
