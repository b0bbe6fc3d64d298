"""Walks through a Dockerfile as a build would, without building: for the checks, and for what a target can be given."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import msgspec

from pywerf.errors import DockerfileError, InvalidPlatform, InvalidReference, SourceExcerpt
from pywerf.frontend.dockerfile import commands as c
from pywerf.frontend.dockerfile.args import DEFAULT_PATH, ArgScope, platform_args
from pywerf.frontend.dockerfile.ast import Dockerfile
from pywerf.frontend.dockerfile.epoch import is_known_epoch
from pywerf.frontend.dockerfile.expand import Expander
from pywerf.frontend.dockerfile.expansion import expand_instruction
from pywerf.frontend.dockerfile.gotext import quote
from pywerf.frontend.dockerfile.instruction_checks import CHECKS, ArgUse, StageWalk, ends, expose
from pywerf.frontend.dockerfile.instructions import parse_instructions, parse_onbuild
from pywerf.frontend.dockerfile.stages import StageLinks, find_target, link_stages, reachable
from pywerf.oci.config import ImageConfig
from pywerf.oci.platform import Platform, host_platform
from pywerf.oci.reference import Reference
from pywerf.util.suggest import nearest

__all__ = ["Analysis", "ArgUse", "Finding", "Subject"]

_RESERVED = ("context", "scratch")
_SBOM = ("BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE")


class Subject(msgspec.Struct, frozen=True):
    """What is known about the build around the Dockerfile.

    `base_image` gives the config of an image, None when it is not known: then nothing is said about variables that it
    may set. `ignored` tells whether a path of the build context (`.` for all of it) is left out by .dockerignore; it is
    None when there is none, or when it has exceptions (`!`), which cannot be judged by a path alone.
    `contexts` are the names of the named contexts.
    `all_stages`: look at stages too that the target does not need.
    """

    build_args: Mapping[str, str] = {}
    target: str = ""
    build_platform: Platform | None = None
    target_platform: Platform | None = None
    base_image: Callable[[str, Platform], ImageConfig | None] | None = None
    ignored: Callable[[str], bool] | None = None
    all_stages: bool = False
    contexts: frozenset[str] = frozenset()


class Finding(msgspec.Struct, frozen=True):
    """A rule that is not kept. `comments` are those of the instruction: `# check=skip=…` may stand there."""

    rule: str
    detail: str
    source: SourceExcerpt
    comments: tuple[str, ...] = ()


class Analysis:
    """The result of looking at one Dockerfile. `error` is what would end the build, `findings` came before it.

    `phase` tells where it ended: `parse` (the instructions), `build` (their meaning), or `""`.
    """

    def __init__(self, dockerfile: Dockerfile, subject: Subject) -> None:
        self.dockerfile = dockerfile
        self.subject = subject
        self.findings: list[Finding] = []
        self.error: DockerfileError | None = None
        self.phase = ""
        self.stages: tuple[c.Stage, ...] = ()
        self.target: c.Stage | None = None
        self.walks: dict[int, StageWalk] = {}
        build = subject.build_platform or host_platform()
        self.target_platform = subject.target_platform or build
        self._platforms = (build, self.target_platform)
        try:
            self._look()
        except DockerfileError as error:
            self.error = error
        else:
            self.phase = ""

    def find(self, rule: str, detail: str, command: c.Command, source: SourceExcerpt | None = None) -> None:
        self.findings.append(Finding(rule, detail, source or command.source, command.comments))

    def _look(self) -> None:
        self.phase = "parse"
        for warning in self.dockerfile.warnings:
            source = self.dockerfile.excerpt(warning.last, warning.last)
            self.findings.append(Finding("NoEmptyContinuation", "Empty continuation line", source))
        self.stages, meta_args = parse_instructions(self.dockerfile, self._read)
        self.phase = "build"
        self._stage_names()
        self._casing()
        name = self.subject.target.lower() or self.stages[-1].name
        defaults = platform_args(*self._platforms, name)
        escape = self.dockerfile.escape
        self._default_images(meta_args, defaults)
        scope = ArgScope(meta_args, self.subject.build_args, defaults, escape=escape)
        self._epoch(scope)
        for stage in self.stages:
            self._from(stage, scope)
        links = link_stages(self.stages, scope, self.subject.contexts)
        self.target = find_target(self.stages, self.subject.target)
        wanted = set(range(len(links))) if self.subject.all_stages else reachable(links, self.target.index)
        for index in sorted(wanted):
            self._walk(links[index], scope)

    # what a single instruction tells

    def _read(self, command: c.Command) -> None:
        if isinstance(command, c.From):
            if command.alias_word != command.alias:
                self.find("StageNameCasing", f"Stage name '{command.alias_word}' should be lowercase", command)
            keyword, word = command.keyword, command.as_word
            matches = word == (word.lower() if keyword.islower() else word.upper())
            if word and not matches and (keyword.islower() or keyword.isupper()):
                self.find("FromAsCasing", f"'{word}' and '{keyword}' keywords' casing do not match", command)
            if command.alias:
                self._description(command, "FROM", (command.alias,))
        elif isinstance(command, c.Arg):
            self._description(command, "ARG", tuple([pair.key for pair in command.pairs]))
        elif isinstance(command, c.Maintainer):
            self.find("MaintainerDeprecated", "Maintainer instruction is deprecated in favor of using label", command)

    def _description(self, command: c.Command, name: str, keys: tuple[str, ...]) -> None:
        if command.comments and command.comments[-1].split(" ")[0] not in keys:
            example = keys[0] if len(keys) == 1 else "<arg_key>"
            detail = f"Comment for {name} should follow the format: `# {example} <description>`"
            self.find("InvalidDefinitionDescription", detail, command)

    # what stages tell together

    def _stage_names(self) -> None:
        seen: set[str] = set()
        for stage in self.stages:
            if stage.name in _RESERVED:
                detail = f"Stage name should not use the same name as reserved stage {quote(stage.name)}"
                self.find("ReservedStageName", detail, stage.base)
            if stage.name in seen:
                detail = f"Duplicate stage name {quote(stage.name)}, stage names should be unique"
                self.find("DuplicateStageName", detail, stage.base)
            if stage.name:
                seen.add(stage.name)

    def _casing(self) -> None:
        everything = [command for stage in self.stages for command in (stage.base, *stage.commands)]
        lower = sum(command.keyword == command.keyword.lower() for command in everything)
        upper = sum(command.keyword == command.keyword.upper() for command in everything)
        for command in everything:
            right = command.keyword.lower() if lower > upper else command.keyword.upper()
            if command.keyword != right:
                casing = "lowercase" if lower > upper else "uppercase"
                detail = f"Command '{command.keyword}' should match the case of the command majority ({casing})"
                self.find("ConsistentInstructionCasing", detail, command)

    def _default_images(self, meta_args: tuple[c.Arg, ...], defaults: dict[str, str]) -> None:
        """Whether the images have names when no build arg is given."""
        escape = self.dockerfile.escape
        try:
            plain = ArgScope(meta_args, {}, defaults, escape=escape)
            for stage in self.stages:
                image = Expander(plain.values, escape).word(stage.base.image)
                try:
                    Reference.parse(image)
                except (InvalidReference, ValueError):
                    detail = f"Default value for ARG {stage.base.image} results in empty or invalid base image name"
                    self.find("InvalidDefaultArgInFrom", detail, stage.base)
        except DockerfileError:
            return  # the build fails for that reason itself

    def _epoch(self, scope: ArgScope) -> None:
        """Whether the file's own SOURCE_DATE_EPOCH means anything; one that is given and does not ends the build."""
        epoch = scope.declared.get("SOURCE_DATE_EPOCH")
        if epoch is None or not epoch.value or "SOURCE_DATE_EPOCH" in scope.build_args:
            return
        if not is_known_epoch(epoch.value, self.stages, self.subject.contexts):
            detail = (
                f"SOURCE_DATE_EPOCH {quote(epoch.value)} is no number of seconds and names no source: it is not used"
            )
            self.find("InvalidSourceDateEpoch", detail, epoch.arg)

    def _from(self, stage: c.Stage, scope: ArgScope) -> None:
        base = stage.base
        known = [*scope.declared, *(name for name in scope.values if name not in scope.declared)]
        for field in ("image", "platform"):
            expander = Expander(scope.values, self.dockerfile.escape)
            try:
                value = expander.word(getattr(base, field))
            except DockerfileError:
                continue  # expanding FROM says so
            for name in sorted(expander.unmatched - set(known)):
                similar = nearest(name, known)
                detail = f"FROM argument '{name}' is not declared" + (f" (did you mean {similar}?)" if similar else "")
                self.find("UndefinedArgInFrom", detail, base)
            if field == "platform" and base.platform:
                self._platform(base, value, expander, scope)

    def _platform(self, base: c.From, value: str, expander: Expander, scope: ArgScope) -> None:
        if expander.matched == {"TARGETPLATFORM"} and not expander.unmatched:
            if value == scope.values.get("TARGETPLATFORM"):
                detail = (
                    f"Setting platform to predefined {base.platform} in FROM is redundant "
                    "as this is the default behavior"
                )
                self.find("RedundantTargetPlatform", detail, base)
        elif not expander.matched and not expander.unmatched:
            try:
                platform = Platform.parse(value)
            except InvalidPlatform:
                return
            if platform.os not in base.alias and platform.architecture not in base.alias:
                detail = f"FROM --platform flag should not use constant value {quote(value)}"
                self.find("FromPlatformFlagConstDisallowed", detail, base)

    # the stages one after the other

    def _walk(self, links: StageLinks, scope: ArgScope) -> None:
        parent = None if links.base is None else self.walks.get(links.base)
        walk = StageWalk(links, scope.stage(parent=None if parent is None else parent.args))
        self.walks[links.stage.index] = walk
        walk.arg_uses = {
            name: ArgUse(name, arg.value or "", arg.pair.comment, arg.arg.source, arg.uses)
            for name, arg in scope.declared.items()
        }
        triggers: Iterable[str] = ()
        if parent is not None:
            walk.env_known, walk.shell, walk.workdir = parent.env_known, parent.shell, parent.workdir
            walk.stops = parent.stops
            triggers = parent.onbuild
        elif links.expanded.image != "scratch":
            triggers = self._base_image(walk)
        walk.args.env.setdefault("PATH", DEFAULT_PATH)
        source = links.stage.base.source
        for command in (*(parse_onbuild(text, source) for text in triggers), *links.stage.commands):
            self._command(walk, command)
        ends(self, walk)

    def _base_image(self, walk: StageWalk) -> tuple[str, ...]:
        base = walk.links.expanded
        expected = Platform.parse(base.platform) if base.platform else self.target_platform
        found = None if self.subject.base_image is None else self.subject.base_image(base.image, expected)
        if found is None:
            walk.env_known = False
            return ()
        walk.args.set_env((name, value) for name, _, value in (item.partition("=") for item in found.config.env))
        walk.shell = bool(found.config.shell)
        if (found.platform.os, found.platform.architecture) != (expected.os, expected.architecture):
            detail = (
                f"Base image {walk.links.stage.base.image} was pulled with platform {quote(str(found.platform))}, "
                f"expected {quote(str(expected))} for current build"
            )
            self.find("InvalidBaseImagePlatform", detail, walk.links.stage.base)
        return found.config.onbuild

    def _command(self, walk: StageWalk, command: c.Command) -> None:
        unmatched: set[str] = set()
        declared = {name for name, _ in walk.args.args}
        names = list(walk.args.env)
        try:
            if isinstance(command, c.Arg):
                expanded: c.Command = walk.args.declare(command, unmatched=unmatched)
            else:
                if isinstance(command, c.Expose):
                    expose(self, walk, command)  # before a wrong port ends it
                expanded = expand_instruction(command, walk.args.lookup, walk.args.scope.escape, unmatched=unmatched)
        except DockerfileError:
            if walk.env_known:
                raise
            return  # the unknown variables of the base image may make it right
        finally:
            if walk.env_known:
                for name in sorted(unmatched - declared - set(_SBOM)):
                    similar = nearest(name, names)
                    suggestion = f" (did you mean ${similar}?)" if similar else ""
                    self.find("UndefinedVar", f"Usage of undefined variable '${name}'{suggestion}", command)
        check = CHECKS.get(type(command))
        if check is not None:
            check(self, walk, command, expanded)
