"""What a staged image consists of: the stages of its Dockerfile, each a row of stages, one an instruction.

A stage of the Dockerfile is called a part here: a part that the target needs is an image of its own. In scheme v2 a
part begins with a stage `FROM1`; in v1 what it is built on goes into the digest of its first instruction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from pywerf.build.project.digests import canonical, content_digest, stage_digest
from pywerf.build.project.dockerfile_digest import DigestInput, located, text_of
from pywerf.errors import DockerfileError
from pywerf.frontend.dockerfile import commands as c
from pywerf.frontend.dockerfile.args import DEFAULT_PATH, StageArgs
from pywerf.frontend.dockerfile.config_state import CONFIG_INSTRUCTIONS
from pywerf.frontend.dockerfile.expansion import expand_instruction
from pywerf.frontend.dockerfile.instructions import (
    find_stage,
    parse_instructions,
    parse_onbuild,
    parse_stage_index,
)
from pywerf.frontend.dockerfile.stages import after_stages, find_target, link_stages
from pywerf.oci.platform import Platform

if TYPE_CHECKING:
    from pywerf.frontend.dockerfile.stages import StageLinks

__all__ = ["Part", "Source", "StagedPlan", "Step", "plan_parts"]

BaseDigest = Callable[[str, Platform], str]
"""Gives the registry's digest of a base image."""


class Source(msgspec.Struct, frozen=True):
    """A part that an instruction takes files from; `triggers`: its image has ONBUILD triggers.

    `by_number`: the instruction names it by its number.
    """

    part: int
    name: str
    platform: Platform
    triggers: bool = False
    by_number: bool = False


class Step(msgspec.Struct, frozen=True):
    """An instruction of a part, and all that its building takes.

    `text` are its lines as written, which begin at `line`; `command` is it with variables replaced (ARG and ENV of the
    Dockerfile as of here are `args`; None: declared without a value). `base` is the image that it is built on when it
    is the first one (`base_part`: the part), both are None for those that follow another one. `strip`: what it is built
    on has ONBUILD triggers that are not to be run; `triggers` are those that the image has before it.
    `from_trigger`: it is one of the base's ONBUILD triggers itself.
    """

    name: str
    part: int
    part_name: str
    platform: Platform
    command: c.Command
    text: str
    line: int
    parts: tuple[str, ...] = ()
    args: tuple[tuple[str, str | None], ...] = ()
    sources: tuple[Source, ...] = ()
    after: tuple[int, ...] = ()
    base: str | None = None
    base_part: int | None = None
    strip: bool = False
    triggers: tuple[str, ...] = ()
    cmd_is_own: bool = False
    from_trigger: bool = False

    @property
    def only_config(self) -> bool:
        """Whether it touches no file, so that its image can be made of the one before by its config alone."""
        return isinstance(self.command, c.From) or type(self.command) in CONFIG_INSTRUCTIONS

    @property
    def needs(self) -> tuple[int, ...]:
        """The parts that have to be there before, beside the one that it is built on."""
        return (*(source.part for source in self.sources), *self.after)


class PartStage(msgspec.Struct, frozen=True):
    """A step with its digest, and the content digest of the image up to it."""

    step: Step
    digest: str
    content_digest: str


class Part(msgspec.Struct, frozen=True):
    """A stage of the Dockerfile: number `index`, `name` as output calls it, built on another part or on an image."""

    index: int
    name: str
    platform: Platform
    stages: tuple[PartStage, ...]
    base_part: int | None = None
    triggers: tuple[str, ...] = ()


class StagedPlan(msgspec.Struct, frozen=True):
    """The parts that the target needs, by their numbers. `passed` are build args that steps need without an ARG."""

    target: int
    parts: Mapping[int, Part]
    passed: Mapping[str, str] = {}

    @property
    def last(self) -> PartStage:
        """The last stage of the target."""
        return self.parts[self.target].stages[-1]

    def shown(self, number: int) -> str:
        """What a part adds to the image's name in output: nothing for the target."""
        return "" if number == self.target else self.parts[number].name


def plan_parts(given: DigestInput, base_digest: BaseDigest, *, version: str = "v1") -> StagedPlan:
    """All parts that the target needs, with the digests of their stages.

    Raises DockerfileError, BuildError for missing files, and what `given.base` and `base_digest` raise.
    """
    work = _Planning(given, base_digest, version)
    index = find_target(work.stages, given.target).index
    work.part(index)
    parts = {number: part for number, (part, _) in sorted(work.done.items())}
    return StagedPlan(index, parts, work.passed())


class _Variables:
    """The variables of a part, and the names of those that the Dockerfile itself has set."""

    def __init__(self, args: StageArgs, own: Iterable[str] = ()) -> None:
        self.args = args
        self.own = set(own)

    def expand(self, command: c.Command, escape: str) -> c.Command:
        """The instruction with its variables replaced; what it does to variables is done."""
        if isinstance(command, c.Arg):
            declared = self.args.declare(command)
            self.own |= {pair.key for pair in declared.pairs}
            return declared
        expanded = expand_instruction(command, self.args.lookup, escape)
        if isinstance(expanded, c.Env):
            self.args.set_env((pair.key, pair.value) for pair in expanded.pairs)
            self.own |= {pair.key for pair in expanded.pairs}
        return expanded

    def environment(self) -> list[str]:
        """What the Dockerfile has set, sorted."""
        env = self.args.env
        return [f"{name}={env[name]}" for name in sorted(self.own) if name in env]

    def declared(self) -> tuple[tuple[str, str | None], ...]:
        """The ARGs with their present values."""
        env, given = self.args.env, dict(self.args.args)
        return tuple((name, env.get(name, value)) for name, value in given.items())


class _Planning:
    def __init__(self, given: DigestInput, base_digest: BaseDigest, version: str) -> None:
        self.dockerfile = given.dockerfile
        self.platform = given.platform
        self.base, self.base_digest = given.base, base_digest
        self.version, self.cache_version, self.add_hosts = version, given.cache_version, given.add_hosts
        self.contents = given.contents()
        self.stages, meta = parse_instructions(given.dockerfile)
        self.scope = given.scope(meta, self.stages)
        self.links: tuple[StageLinks, ...] = link_stages(self.stages, self.scope)
        self.texts = {node.first: node.raw for node in self.dockerfile.nodes}
        self.done: dict[int, tuple[Part, _Variables]] = {}

    def passed(self) -> dict[str, str]:
        """Build args that mean something to the builder, or to every RUN."""
        from pywerf.frontend.dockerfile.args import PROXY_ARGS

        epoch = self._epoch()
        given = {
            name: value
            for name, value in self.scope.build_args.items()
            if name in PROXY_ARGS or name.startswith("BUILDKIT_")
        }
        return given | ({"SOURCE_DATE_EPOCH": epoch} if epoch else {})

    def part(self, index: int) -> Part:
        """A part, and before it those that it needs."""
        if index not in self.done:
            self.done[index] = self._part(self.links[index])
        return self.done[index][0]

    def _part(self, link: StageLinks) -> tuple[Part, _Variables]:
        stage, base = link.stage, link.expanded
        platform = Platform.parse(base.platform) if base.platform else self.platform
        inherited: tuple[str, ...] = ()  # ONBUILD triggers of what the part is built on
        if link.base is not None:
            before = self.part(link.base)
            inherited, platform = before.triggers, before.platform
            variables = self.done[link.base][1]
            variables = _Variables(self.scope.stage(parent=variables.args), variables.own)
            reference = before.stages[-1].content_digest
        elif base.image == "scratch":
            variables = _Variables(self.scope.stage([("PATH", DEFAULT_PATH)]))
            reference = "scratch"
        else:
            found = located(base.source, lambda: self.base(base.image, platform))
            inherited = found.onbuild
            variables = _Variables(self.scope.stage(entry.partition("=")[::2] for entry in found.env))
            reference = base.image
        after = tuple(other.index for other in after_stages(self.stages, stage.index, base))
        origin = [self.part(other).stages[-1].content_digest for other in after]
        steps = list(self._steps(link, platform, variables, inherited))
        if not steps:
            raise DockerfileError(
                f"the stage {_shown(stage)} has no instructions: a staged image of scheme v1 has none without",
                hint="set WERF_STAGED_DOCKERFILE_VERSION=v2, which begins each with a stage FROM1",
                source=base.source,
            )
        first = steps[0]
        parts = [*first.parts, reference, *origin, *([self._epoch()] if self._epoch() else [])]
        if self.version == "v2":
            is_image = link.base is None and reference != "scratch"
            digest = located(base.source, lambda: self.base_digest(base.image, platform)) if is_image else ""
            parts.append(digest)
        steps[0] = msgspec.structs.replace(
            first,
            parts=(*parts, self.cache_version),
            after=after,
            base=None if link.base is not None else base.image,
            base_part=link.base,
            strip=bool(inherited),
        )
        own = tuple(step.command.expression for step in steps if isinstance(step.command, c.Onbuild))
        stages = tuple(_digested(steps, str(platform)))
        return Part(stage.index, _shown(stage), platform, stages, link.base, own), variables

    def _steps(
        self, link: StageLinks, platform: Platform, variables: _Variables, inherited: tuple[str, ...]
    ) -> Iterator[Step]:
        stage = link.stage
        number = 0
        cmd_is_own = False
        triggers: tuple[str, ...] = ()
        if self.version == "v2":
            number = 1
            yield Step("FROM1", stage.index, _shown(stage), platform, link.expanded, "", stage.base.source.first)
        brought = [parse_onbuild(text, stage.base.source) for text in inherited]
        texts = [*inherited, *(self.texts[command.source.first] for command in stage.commands)]
        for position, (command, text) in enumerate(zip((*brought, *stage.commands), texts, strict=True)):
            expanded = variables.expand(command, self.dockerfile.escape)
            if isinstance(expanded, c.Arg):
                continue
            number += 1
            sources = tuple(self._sources(expanded, link))
            yield Step(
                name=f"{expanded.name}{number}",
                part=stage.index,
                part_name=_shown(stage),
                platform=platform,
                command=expanded,
                text=text,
                line=command.source.first,
                parts=tuple(self._digest_parts(expanded, variables)),
                args=variables.declared() if isinstance(command, c.Run) or "$" in text else (),
                sources=sources,
                strip=bool(triggers),
                triggers=triggers,
                cmd_is_own=cmd_is_own,
                from_trigger=position < len(brought),
            )
            if isinstance(expanded, c.Onbuild):
                triggers = (*triggers, expanded.expression)
            cmd_is_own = cmd_is_own or isinstance(expanded, c.Cmd)

    def _sources(self, command: c.Command, link: StageLinks) -> Iterator[Source]:
        seen: dict[int, list[str]] = {}
        for name in _origins(command):
            found = located(command.source, partial(find_stage, self.stages, name))
            if found is None:
                continue
            if found.index >= link.stage.index:
                raise DockerfileError(
                    f"cannot copy from stage {name!r}, it needs to be defined before current stage "
                    f"{_shown(link.stage)!r}",
                    hint="a stage can only copy from those before it",
                    source=command.source,
                )
            seen.setdefault(found.index, []).append(name)
        for index, names in seen.items():
            part = self.part(index)
            by_number = any(parse_stage_index(name) is not None for name in names)
            yield Source(index, self.stages[index].name, part.platform, bool(part.triggers), by_number)

    def _digest_parts(self, command: c.Command, variables: _Variables) -> Iterator[str]:
        """What an instruction is made from."""
        yield text_of(canonical(command))
        if isinstance(command, c.Run):
            yield text_of(variables.environment())
            yield text_of(self.add_hosts)
            for mount in command.mounts:
                if mount.type == "bind" and not mount.from_:
                    yield self.contents.of_mount(mount, command.source)
        elif isinstance(command, c.Copy | c.Add) and not _origins(command):
            yield from self.contents.of_copy(command)
        for name in _origins(command):
            found = find_stage(self.stages, name)
            yield name if found is None else self.part(found.index).stages[-1].content_digest

    def _epoch(self) -> str:
        """SOURCE_DATE_EPOCH, when it is a number."""
        values = {**self.scope.values, **self.scope.build_args}
        text = values.get("SOURCE_DATE_EPOCH", "")
        return text if text.isdecimal() else ""


def _digested(steps: Iterable[Step], platform: str) -> Iterator[PartStage]:
    previous = ""
    for step in steps:
        previous = stage_digest(step.name, step.parts, platform=platform, previous=previous)
        yield PartStage(step, previous, content_digest(step.name, previous, platform=platform))


def _origins(command: c.Command) -> list[str]:
    """What `from` an instruction names, in order."""
    if isinstance(command, c.Copy):
        return [command.from_] if command.from_ else []
    if isinstance(command, c.Run):
        return [mount.from_ for mount in command.mounts if mount.from_ and mount.type != "tmpfs"]
    return []


def _shown(stage: c.Stage) -> str:
    return stage.name or f"stage-{stage.index}"
