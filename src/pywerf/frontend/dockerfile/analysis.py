"""Walks through a Dockerfile as a build would, without building: for the checks, and for what a target can be given."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Mapping

import msgspec

from pywerf.errors import DockerfileError, InvalidPlatform, InvalidReference, SourceExcerpt
from pywerf.frontend.dockerfile import commands as c
from pywerf.frontend.dockerfile.args import DEFAULT_PATH, ArgScope, StageArgs, platform_args
from pywerf.frontend.dockerfile.ast import Dockerfile
from pywerf.frontend.dockerfile.expand import Expander
from pywerf.frontend.dockerfile.expansion import expand_instruction
from pywerf.frontend.dockerfile.gotext import quote
from pywerf.frontend.dockerfile.instructions import parse_instructions, parse_onbuild
from pywerf.frontend.dockerfile.ports import parse_port
from pywerf.frontend.dockerfile.rules import promises_secret
from pywerf.frontend.dockerfile.stages import StageLinks, find_target, link_stages, reachable
from pywerf.frontend.dockerfile.suggest import nearest
from pywerf.oci.config import ImageConfig
from pywerf.oci.platform import Platform, host_platform
from pywerf.oci.reference import Reference

__all__ = ["Analysis", "ArgUse", "Finding", "Subject"]

_RESERVED = ("context", "scratch")
_SBOM = ("BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE")


class Subject(msgspec.Struct, frozen=True):
    """What is known about the build around the Dockerfile.

    `base_image` gives the config of an image, None when it is not known: then nothing is said about variables that it
    may set. `ignored` tells whether a path of the build context (`.` for all of it) is left out by .dockerignore; it is
    None when there is none, or when it has exceptions (`!`), which cannot be judged by a path alone.
    `all_stages`: look at stages too that the target does not need.
    """

    build_args: Mapping[str, str] = {}
    target: str = ""
    build_platform: Platform | None = None
    target_platform: Platform | None = None
    base_image: Callable[[str, Platform], ImageConfig | None] | None = None
    ignored: Callable[[str], bool] | None = None
    all_stages: bool = False


class Finding(msgspec.Struct, frozen=True):
    """A rule that is not kept. `comments` are those of the instruction: `# check=skip=…` may stand there."""

    rule: str
    detail: str
    source: SourceExcerpt
    comments: tuple[str, ...] = ()


class ArgUse(msgspec.Struct, frozen=True):
    """An ARG with the value it gets; `uses` are the ARGs in its default."""

    name: str
    value: str
    description: str
    source: SourceExcerpt
    uses: frozenset[str] = frozenset()


class _StageWalk:
    """What is known about a stage while its instructions are looked at."""

    def __init__(self, links: StageLinks, args: StageArgs) -> None:
        self.links = links
        self.args = args
        self.env_known = True
        self.shell = False
        self.workdir = False
        self.last: dict[str, c.Command] = {}
        self.onbuild: list[str] = []
        self.arg_uses: dict[str, ArgUse] = {}
        self.used: set[str] = set(links.matched)
        self.secrets: dict[str, tuple[bool, SourceExcerpt]] = {}
        self.ssh: dict[str, tuple[bool, SourceExcerpt]] = {}


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
        self.walks: dict[int, _StageWalk] = {}
        build = subject.build_platform or host_platform()
        self.target_platform = subject.target_platform or build
        self._platforms = (build, self.target_platform)
        try:
            self._look()
        except DockerfileError as error:
            self.error = error
        else:
            self.phase = ""

    def _find(self, rule: str, detail: str, command: c.Command, source: SourceExcerpt | None = None) -> None:
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
        for stage in self.stages:
            self._from(stage, scope)
        links = link_stages(self.stages, scope)
        self.target = find_target(self.stages, self.subject.target)
        wanted = set(range(len(links))) if self.subject.all_stages else reachable(links, self.target.index)
        for index in sorted(wanted):
            self._walk(links[index], scope)

    # what a single instruction tells

    def _read(self, command: c.Command) -> None:
        if isinstance(command, c.From):
            if command.alias_word != command.alias:
                self._find("StageNameCasing", f"Stage name '{command.alias_word}' should be lowercase", command)
            keyword, word = command.keyword, command.as_word
            matches = word == (word.lower() if keyword.islower() else word.upper())
            if word and not matches and (keyword.islower() or keyword.isupper()):
                self._find("FromAsCasing", f"'{word}' and '{keyword}' keywords' casing do not match", command)
            if command.alias:
                self._description(command, "FROM", (command.alias,))
        elif isinstance(command, c.Arg):
            self._description(command, "ARG", tuple([pair.key for pair in command.pairs]))
        elif isinstance(command, c.Maintainer):
            self._find("MaintainerDeprecated", "Maintainer instruction is deprecated in favor of using label", command)

    def _description(self, command: c.Command, name: str, keys: tuple[str, ...]) -> None:
        if command.comments and command.comments[-1].split(" ")[0] not in keys:
            example = keys[0] if len(keys) == 1 else "<arg_key>"
            detail = f"Comment for {name} should follow the format: `# {example} <description>`"
            self._find("InvalidDefinitionDescription", detail, command)

    # what stages tell together

    def _stage_names(self) -> None:
        seen: set[str] = set()
        for stage in self.stages:
            if stage.name in _RESERVED:
                detail = f"Stage name should not use the same name as reserved stage {quote(stage.name)}"
                self._find("ReservedStageName", detail, stage.base)
            if stage.name in seen:
                detail = f"Duplicate stage name {quote(stage.name)}, stage names should be unique"
                self._find("DuplicateStageName", detail, stage.base)
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
                self._find("ConsistentInstructionCasing", detail, command)

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
                    self._find("InvalidDefaultArgInFrom", detail, stage.base)
        except DockerfileError:
            return  # the build fails for that reason itself

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
                self._find("UndefinedArgInFrom", detail, base)
            if field == "platform" and base.platform:
                self._platform(base, value, expander, scope)

    def _platform(self, base: c.From, value: str, expander: Expander, scope: ArgScope) -> None:
        if expander.matched == {"TARGETPLATFORM"} and not expander.unmatched:
            if value == scope.values.get("TARGETPLATFORM"):
                detail = (
                    f"Setting platform to predefined {base.platform} in FROM is redundant "
                    "as this is the default behavior"
                )
                self._find("RedundantTargetPlatform", detail, base)
        elif not expander.matched and not expander.unmatched:
            try:
                platform = Platform.parse(value)
            except InvalidPlatform:
                return
            if platform.os not in base.alias and platform.architecture not in base.alias:
                detail = f"FROM --platform flag should not use constant value {quote(value)}"
                self._find("FromPlatformFlagConstDisallowed", detail, base)

    # the stages one after the other

    def _walk(self, links: StageLinks, scope: ArgScope) -> None:
        parent = None if links.base is None else self.walks.get(links.base)
        walk = _StageWalk(links, scope.stage(parent=None if parent is None else parent.args))
        self.walks[links.stage.index] = walk
        walk.arg_uses = {
            name: ArgUse(name, arg.value or "", arg.pair.comment, arg.arg.source, arg.uses)
            for name, arg in scope.declared.items()
        }
        triggers: Iterable[str] = ()
        if parent is not None:
            walk.env_known, walk.shell, walk.workdir = parent.env_known, parent.shell, parent.workdir
            triggers = parent.onbuild
        elif links.expanded.image != "scratch":
            triggers = self._base_image(walk)
        walk.args.env.setdefault("PATH", DEFAULT_PATH)
        source = links.stage.base.source
        for command in (*(parse_onbuild(text, source) for text in triggers), *links.stage.commands):
            self._command(walk, command)

    def _base_image(self, walk: _StageWalk) -> tuple[str, ...]:
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
            self._find("InvalidBaseImagePlatform", detail, walk.links.stage.base)
        return found.config.onbuild

    def _command(self, walk: _StageWalk, command: c.Command) -> None:
        unmatched: set[str] = set()
        declared = {name for name, _ in walk.args.args}
        names = list(walk.args.env)
        try:
            if isinstance(command, c.Arg):
                expanded: c.Command = walk.args.declare(command, unmatched=unmatched)
            else:
                if isinstance(command, c.Expose):
                    self._expose(walk, command)
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
                    self._find("UndefinedVar", f"Usage of undefined variable '${name}'{suggestion}", command)
        rule = _RULES.get(type(command))
        if rule is not None:
            rule(self, walk, command, expanded)

    def _expose(self, walk: _StageWalk, command: c.Expose) -> None:
        expander = Expander(walk.args.env, walk.args.scope.escape)
        for words in command.ports:
            try:
                specs = [(word, parse_port(word)) for word in expander.words(words)]
            except DockerfileError:
                return  # expanding says so
            for word, spec in specs:
                if spec.protocol != spec.protocol.lower():
                    detail = f"Defined protocol '{word}' in EXPOSE instruction should be lowercase"
                    self._find("ExposeProtoCasing", detail, command)
                if spec.ip or spec.host_port:
                    detail = f"EXPOSE instruction should not define an IP address or host-port mapping, found '{word}'"
                    self._find("ExposeInvalidFormat", detail, command)

    def arg(self, walk: _StageWalk, written: c.Arg, expanded: c.Arg) -> None:
        scope = walk.args.scope
        for pair, final in zip(written.pairs, expanded.pairs, strict=True):
            self._secret(written, "ARG", pair.key)
            inherited = pair.value is None and pair.key not in scope.build_args and pair.key in scope.values
            if not inherited:
                walk.arg_uses[pair.key] = ArgUse(pair.key, final.value or "", pair.comment, written.source)
            walk.used.add(pair.key)

    def env(self, walk: _StageWalk, written: c.Env, expanded: c.Env) -> None:
        self.label(walk, written, expanded)
        for pair in expanded.pairs:
            self._secret(written, "ENV", pair.key)
        walk.args.set_env((pair.key, pair.value) for pair in expanded.pairs)

    def label(self, walk: _StageWalk, written: c.Env | c.Label, expanded: c.Env | c.Label) -> None:
        for pair in expanded.pairs:
            if pair.legacy:
                name = written.keyword
                detail = f'"{name} key=value" should be used instead of legacy "{name} key value" format'
                self._find("LegacyKeyValueFormat", detail, written)

    def _secret(self, command: c.Command, instruction: str, key: str) -> None:
        if promises_secret(key):
            detail = f"Do not use ARG or ENV instructions for sensitive data ({instruction} {quote(key)})"
            self._find("SecretsUsedInArgOrEnv", detail, command)

    def workdir(self, walk: _StageWalk, written: c.Workdir, expanded: c.Workdir) -> None:
        if not walk.workdir and not expanded.path.startswith("/"):
            detail = f"Relative workdir {quote(expanded.path)} can have unexpected results if the base image changes"
            self._find("WorkdirRelativePath", detail, written)
        walk.workdir = True

    def shell(self, walk: _StageWalk, written: c.Shell, expanded: c.Shell) -> None:
        walk.shell = True

    def onbuild(self, walk: _StageWalk, written: c.Onbuild, expanded: c.Onbuild) -> None:
        walk.onbuild.append(written.expression)

    def once(self, walk: _StageWalk, written: c.Command, expanded: c.Command) -> None:
        before = walk.last.get(written.name)
        if before is not None:
            detail = (
                f"Multiple {written.keyword} instructions should not be used in the same stage "
                "because only the last one will be used"
            )
            # The one before is shown: it is the one that has no effect.
            self._find("MultipleInstructionsDisallowed", detail, written, before.source)
        walk.last[written.name] = written

    def start_command(self, walk: _StageWalk, written: c.Cmd | c.Entrypoint, expanded: c.Command) -> None:
        self.once(walk, written, expanded)
        if written.form == "shell" and not walk.shell:
            detail = (
                f"JSON arguments recommended for {written.keyword} to prevent unintended behavior related to OS signals"
            )
            self._find("JSONArgsRecommended", detail, written)

    def copy(self, walk: _StageWalk, written: c.Copy | c.Add, expanded: c.Copy | c.Add) -> None:
        ignored = self.subject.ignored
        if ignored is None or (isinstance(expanded, c.Copy) and expanded.from_):
            return
        verb = "Copy" if isinstance(expanded, c.Copy) else "Add"
        for source in expanded.sources:
            if verb == "Add" and ("://" in source or source.startswith("git@")):
                continue
            path = posixpath.normpath(source)
            if ignored(path.lstrip("/") or "."):
                detail = f"Attempting to {verb} file {quote(path)} that is excluded by .dockerignore"
                self._find("CopyIgnoredFile", detail, written)

    def run(self, walk: _StageWalk, written: c.Run, expanded: c.Run) -> None:
        for mount in expanded.mounts:
            if mount.type == "secret":
                name = mount.id or mount.source or posixpath.basename(mount.target)
                walk.secrets[name] = (mount.required, written.source)
            elif mount.type == "ssh":
                walk.ssh[mount.id or "default"] = (mount.required, written.source)


_RULES: dict[type[c.Command], Callable[..., None]] = {
    c.Add: Analysis.copy,
    c.Arg: Analysis.arg,
    c.Cmd: Analysis.start_command,
    c.Copy: Analysis.copy,
    c.Entrypoint: Analysis.start_command,
    c.Env: Analysis.env,
    c.Healthcheck: Analysis.once,
    c.Label: Analysis.label,
    c.Onbuild: Analysis.onbuild,
    c.Run: Analysis.run,
    c.Shell: Analysis.shell,
    c.Workdir: Analysis.workdir,
}
