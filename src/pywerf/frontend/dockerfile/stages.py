"""How stages hang together: what each is built on, and which others it takes files from."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from pywerf.errors import DockerfileError
from pywerf.frontend.dockerfile import commands as c
from pywerf.frontend.dockerfile.args import ArgScope, StageArgs
from pywerf.frontend.dockerfile.expansion import expand_instruction, located
from pywerf.frontend.dockerfile.instructions import find_base_stage, find_stage
from pywerf.util.suggest import did_you_mean

__all__ = ["StageLinks", "after_stages", "find_target", "is_replaced", "link_stages", "reachable"]


class StageLinks(msgspec.Struct, frozen=True):
    """A stage with its FROM expanded. `base` is the number of the stage it is built on, None: on an image.

    `needs` are the numbers of all stages that have to be there before it (base, `COPY --from`, `RUN --mount`,
    `--after`). `matched` and `unmatched` are the variables of FROM. A stage that a named context replaces needs none.
    """

    stage: c.Stage
    expanded: c.From
    base: int | None = None
    needs: tuple[int, ...] = ()
    matched: frozenset[str] = frozenset()
    unmatched: frozenset[str] = frozenset()


def find_target(stages: Sequence[c.Stage], target: str) -> c.Stage:
    """The stage to build: by name or number, the last one for "". Raises DockerfileError."""
    if not target:
        return stages[-1]
    try:
        stage = find_stage(stages, target)
    except DockerfileError:
        stage = None
    if stage is None:
        names = [stage.name for stage in stages if stage.name]
        raise DockerfileError(
            f'target stage "{target}" could not be found{did_you_mean(target, names, fold=True)}',
            hint="the stages are " + ", ".join(names) if names else "no stage has a name: write FROM … AS NAME",
        )
    return stage


def is_replaced(stage: c.Stage, contexts: Collection[str]) -> bool:
    """Whether a named context takes the place of the whole stage, by the names of all contexts."""
    return stage.name in contexts and stage.name not in ("", "scratch", "context")


def link_stage(stages: Sequence[c.Stage], index: int, scope: ArgScope, contexts: Collection[str] = ()) -> StageLinks:
    """The links of one stage. Raises DockerfileError for what cannot be, and for numbers no stage has."""
    stage = stages[index]
    matched: set[str] = set()
    unmatched: set[str] = set()
    expanded = scope.expand_from(stage.base, matched=matched, unmatched=unmatched)
    if is_replaced(stage, contexts):
        return StageLinks(stage, expanded, matched=frozenset(matched), unmatched=frozenset(unmatched))
    base = find_base_stage(stages, index, expanded.image)
    needs = [] if base is None else [base.index]
    needs += [other.index for other in after_stages(stages, index, expanded)]
    args: StageArgs | None = None
    for number, command in enumerate(stage.commands):
        origins: list[str] = []
        if isinstance(command, c.Copy) and command.from_:
            origin = command.from_
            if "$" in origin:
                args = args or _static_args(stages, index, scope)
                origin = _origin(stage.commands[:number], command, args)
            origins.append(origin)
        elif isinstance(command, c.Run):
            origins += [mount.from_ for mount in command.mounts if mount.from_]
        for origin in origins:
            try:
                found = find_stage(stages, origin)
            except DockerfileError as error:
                raise located(error, command.source) from error
            if found is not None and found.index == index:
                raise _circular(stage, command)
            if found is not None:
                needs.append(found.index)
    return StageLinks(
        stage,
        expanded,
        None if base is None else base.index,
        tuple(dict.fromkeys(needs)),
        frozenset(matched),
        frozenset(unmatched),
    )


def link_stages(stages: Sequence[c.Stage], scope: ArgScope, contexts: Collection[str] = ()) -> tuple[StageLinks, ...]:
    """The links of all stages; `contexts` are the names of the named contexts.

    Raises DockerfileError, also for stages that need each other.
    """
    links = tuple([link_stage(stages, index, scope, contexts) for index in range(len(stages))])
    for link in links:
        _check_circle(links, link.stage.index)
    return links


def reachable(links: Sequence[StageLinks], target: int) -> set[int]:
    """The numbers of the stages that the target needs, itself included."""
    found: set[int] = set()
    todo = [target]
    while todo:
        index = todo.pop()
        if index not in found:
            found.add(index)
            todo += links[index].needs
    return found


def after_stages(stages: Sequence[c.Stage], index: int, expanded: c.From) -> list[c.Stage]:
    """The stages that an expanded `FROM --after=…` names. Raises DockerfileError when one is not an earlier stage."""
    out = []
    for name in expanded.after:
        stage = find_base_stage(stages, index, name.lower())
        if stage is None:
            raise DockerfileError(
                f"--after={name}: no stage of that name stands before this one", source=stages[index].base.source
            )
        out.append(stage)
    return out


def _check_circle(links: Sequence[StageLinks], start: int) -> None:
    todo = list(links[start].needs)
    seen: set[int] = set()
    while todo:
        index = todo.pop()
        if index == start:
            raise _circular(links[start].stage, links[start].stage.base)
        if index not in seen:
            seen.add(index)
            todo += links[index].needs


def _circular(stage: c.Stage, where: c.Command) -> DockerfileError:
    name = stage.name or f"stage-{stage.index}"
    return DockerfileError(f"circular dependency detected on stage: {name}", source=where.source)


def _static_args(stages: Sequence[c.Stage], index: int, scope: ArgScope) -> StageArgs:
    """The variables at the beginning of a stage as far as the Dockerfile itself sets them."""
    base = find_base_stage(stages, index, scope.expand_from(stages[index].base).image)
    if base is None:
        return scope.stage()
    args = _static_args(stages, base.index, scope)
    _apply(base.commands, args)
    return scope.stage(parent=args)


def _apply(commands: Sequence[c.Command], args: StageArgs) -> None:
    for command in commands:
        if isinstance(command, c.Arg):
            args.declare(command)
        elif isinstance(command, c.Env):
            expanded = expand_instruction(command, args.lookup, args.scope.escape)
            args.set_env((pair.key, pair.value) for pair in expanded.pairs)


def _origin(before: Sequence[c.Command], command: c.Copy, start: StageArgs) -> str:
    args = start.scope.stage(parent=start)
    _apply(before, args)
    return expand_instruction(command, args.lookup, args.scope.escape).from_
