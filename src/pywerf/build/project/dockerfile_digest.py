"""What an image with a Dockerfile is made from: the parts of the digest of its stage `dockerfile`.

Each needed stage of the Dockerfile is one hash: of what it is built on, and of its instructions as they come to be,
variables replaced. Files of the context count by paths, modes and git's blob ids: nothing is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

import msgspec

from pywerf.backend.buildah.selection import digest_of_selection, select
from pywerf.build.project.digests import canonical, sha256_of
from pywerf.errors import DockerfileError, SourceExcerpt, WerfError
from pywerf.frontend.dockerfile import commands as c
from pywerf.frontend.dockerfile.args import DEFAULT_PATH, ArgScope, StageArgs, platform_args
from pywerf.frontend.dockerfile.expansion import expand_instruction
from pywerf.frontend.dockerfile.instructions import find_stage, parse_instructions, parse_onbuild
from pywerf.frontend.dockerfile.stages import StageLinks, find_target, link_stages
from pywerf.graph.op import CopyOp
from pywerf.oci.platform import Platform, host_platform
from pywerf.util.filetree import is_revisioned

if TYPE_CHECKING:
    from pywerf.frontend.dockerfile.ast import Dockerfile
    from pywerf.util.filetree import FileTree

__all__ = [
    "BaseConfig",
    "BaseOf",
    "ContextDigests",
    "ContextMemo",
    "DigestInput",
    "dockerfile_parts",
    "located",
    "text_of",
]

R = TypeVar("R")

_REMOTE = ("http://", "https://", "git://", "ssh://", "git@")


class BaseConfig(msgspec.Struct, frozen=True):
    """What a digest takes of a base image: its variables and its ONBUILD triggers."""

    env: tuple[str, ...] = ()
    onbuild: tuple[str, ...] = ()


BaseOf = Callable[[str, Platform], BaseConfig]
"""Gives the config of a base image; raises WerfError when nobody has it."""

ContextMemo = Callable[[str, Callable[[], str]], str]
"""Remembers answers that never change by a key: `memo(key, make)`."""


class DigestInput(msgspec.Struct, frozen=True, kw_only=True):
    """What the digest of a Dockerfile's image is made of, or the digests of its stages."""

    dockerfile: Dockerfile
    platform: Platform
    context: FileTree
    base: BaseOf
    target: str = ""
    build_args: Mapping[str, str] = {}
    memo: ContextMemo = lambda key, make: make()
    cache_version: str = ""
    add_hosts: tuple[str, ...] = ()

    def contents(self) -> ContextDigests:
        """The digests of what instructions take of the context."""
        return ContextDigests(self.context, self.memo)

    def scope(self, meta: Sequence[c.Arg], stages: Sequence[c.Stage]) -> ArgScope:
        """The variables that stand before the first stage."""
        defaults = platform_args(host_platform(), self.platform, self.target or stages[-1].name)
        return ArgScope(meta, self.build_args, defaults, escape=self.dockerfile.escape)


def dockerfile_parts(given: DigestInput) -> list[str]:
    """The parts of the digest. Raises DockerfileError, BuildError for missing files, and what `base` raises."""
    return [given.cache_version, *given.add_hosts, _Work(given).target_hash()]


class _Work:
    def __init__(self, given: DigestInput) -> None:
        self.escape = given.dockerfile.escape
        self.platform = given.platform
        self.contents = given.contents()
        self.base = given.base
        self.stages, meta = parse_instructions(given.dockerfile)
        self.target = find_target(self.stages, given.target)
        self.scope = given.scope(meta, self.stages)
        self.links: tuple[StageLinks, ...] = link_stages(self.stages, self.scope)
        self.done: dict[int, tuple[str, StageArgs]] = {}

    def target_hash(self) -> str:
        return self.stage(self.target.index)[0]

    def stage(self, index: int) -> tuple[str, StageArgs]:
        """A stage's hash, and the variables at its end."""
        if index not in self.done:
            self.done[index] = self._stage(self.links[index])
        return self.done[index]

    def _stage(self, link: StageLinks) -> tuple[str, StageArgs]:
        parts: list[str] = []
        triggers: tuple[str, ...] = ()
        base = link.expanded
        platform = Platform.parse(base.platform) if base.platform else self.platform
        if base.platform and platform != self.platform:
            parts.append(str(platform))
        if link.base is not None:
            inherited, args = self.stage(link.base)
            parts.append(inherited)
            args = self.scope.stage(parent=args)
            triggers = tuple(
                command.expression for command in self.stages[link.base].commands if isinstance(command, c.Onbuild)
            )
        elif base.image == "scratch":
            parts.append("scratch")
            args = self.scope.stage([("PATH", DEFAULT_PATH)])
        else:
            parts.append(base.image)
            found = located(base.source, lambda: self.base(base.image, platform))
            args = self.scope.stage(entry.partition("=")[::2] for entry in found.env)
            triggers = found.onbuild
        parts += [f"after {self.stage(other)[0]}" for other in link.needs if other != link.base]
        commands = [parse_onbuild(text, base.source) for text in triggers]
        for command in (*commands, *link.stage.commands):
            parts += self._instruction(command, args)
        return sha256_of(*parts), args

    def _instruction(self, command: c.Command, args: StageArgs) -> Iterator[str]:
        """The parts of an instruction; `args` are changed as it changes them."""
        if isinstance(command, c.Arg):
            expanded: c.Command = args.declare(command)
        else:
            expanded = expand_instruction(command, args.lookup, self.escape)
        if isinstance(expanded, c.Env):
            args.set_env((pair.key, pair.value) for pair in expanded.pairs)
        yield text_of(canonical(expanded))
        if isinstance(expanded, c.Run):
            yield text_of([f"{name}={value}" for name, value in args.history_args()])
            for mount in expanded.mounts:
                if mount.type == "bind" and not mount.from_:
                    yield self.contents.of_mount(mount, command.source)
                elif mount.from_:
                    yield self._origin(mount.from_)
        elif isinstance(expanded, c.Copy) and expanded.from_:
            yield self._origin(expanded.from_)
        elif isinstance(expanded, c.Copy | c.Add):
            yield from self.contents.of_copy(expanded)

    def _origin(self, name: str) -> str:
        """What `from` means: the hash of a stage, or the image's name."""
        stage = find_stage(self.stages, name)
        return name if stage is None else self.stage(stage.index)[0]


class ContextDigests:
    """Digests of what instructions take of a build context. Those of a commit are remembered."""

    def __init__(self, context: FileTree, memo: ContextMemo) -> None:
        self._context = context
        self._memo = memo

    def of_mount(self, mount: c.RunMount, source: SourceExcerpt) -> str:
        """What a bind mount of the context shows. Raises BuildError at `source` when it is not there."""
        return self._digest(CopyOp((mount.source or "/",), "/", True), source)

    def of_copy(self, command: c.Copy | c.Add) -> Iterator[str]:
        """What an (expanded) COPY or ADD takes: nothing when all of it comes from elsewhere. Raises BuildError."""
        parents = isinstance(command, c.Copy) and command.parents
        remote = isinstance(command, c.Add)
        sources = tuple(source for source in command.sources if not (remote and source.startswith(_REMOTE)))
        if sources:
            yield self._digest(CopyOp(sources, "/", True, parents=parents, exclude=command.exclude), command.source)

    def _digest(self, op: CopyOp, source: SourceExcerpt) -> str:
        def make() -> str:
            selected = located(source, lambda: select(self._context, op, "the build context"))
            return digest_of_selection(selected, self._context, op).hex

        revision = self._context.revision if is_revisioned(self._context) else ""
        return self._memo(sha256_of(revision, text_of(canonical(op))), make) if revision else make()


def located(source: SourceExcerpt, ask: Callable[[], R]) -> R:
    """What `ask` gives; its errors get the place that they are about."""
    try:
        return ask()
    except WerfError as error:
        if error.source is None and not isinstance(error, DockerfileError):
            error.source = source
        raise


def text_of(value: object) -> str:
    """A canonical value as text."""
    try:
        return msgspec.json.encode(value, order="deterministic").decode()
    except UnicodeEncodeError:  # text that is not UTF-8
        return repr(value)
