"""A Dockerfile becomes a graph: the vertices that the target needs, and the config of its image.

Nothing is done here beyond asking for the configs of base images, which ENV, WORKDIR and ONBUILD build on. Stages
that the target does not need are not looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Protocol

import msgspec

from pywerf.errors import DockerfileError, RegistryNotFound, SourceExcerpt, WerfError
from pywerf.frontend.dockerfile import commands as c
from pywerf.frontend.dockerfile.args import ArgScope, platform_args
from pywerf.frontend.dockerfile.ast import Dockerfile
from pywerf.frontend.dockerfile.epoch import UnknownEpoch, epoch_source
from pywerf.frontend.dockerfile.instructions import find_stage, parse_instructions
from pywerf.frontend.dockerfile.stage_state import StageState
from pywerf.frontend.dockerfile.stages import StageLinks, after_stages, find_target, is_replaced, link_stages, reachable
from pywerf.graph.image_plan import ImagePlan
from pywerf.graph.op import ContextOp, CopyOp, HttpOp, ImageOp
from pywerf.graph.vertex import Vertex
from pywerf.oci.config import ImageConfig
from pywerf.oci.platform import Platform, host_platform
from pywerf.util.suggest import nearest

__all__ = ["BaseImage", "Converter", "Resolver", "Settings"]

_COMMON_IMAGES = ("alpine", "busybox", "centos", "debian", "fedora", "golang", "ubuntu")  # what a typo may have meant


class BaseImage(msgspec.Struct, frozen=True):
    """An image that a stage stands on, or that files are copied from."""

    op: ImageOp
    config: ImageConfig
    annotations: dict[str, str] = {}


class Resolver(Protocol):
    """What lies outside of a Dockerfile."""

    def image(self, name: str, platform: Platform) -> BaseImage:
        """The image of that name; only its manifest and config are read. Raises WerfError."""

    def context(self, name: str, platform: Platform) -> ContextOp | BaseImage | None:
        """What `--build-context NAME=…` stands for; None when there is no such context. An image may be named by

        each of its names: `alpine` is `docker.io/library/alpine:latest`.
        """

    def context_names(self) -> Collection[str]:
        """The names of all named contexts, in lower case."""

    def remote(self, url: str, keep_git_dir: bool | None, checksum: str) -> ContextOp | HttpOp | None:
        """What ADD gets from outside: a git repository or a download; None: `url` is a path in the context.

        Raises InvalidValue.
        """

    def modified(self, op: ContextOp | HttpOp) -> int | None:
        """When a source was last changed, in seconds since 1970: a commit's time, Last-Modified, the newest file of

        an archive. None for what has no such time (a folder).
        """


class Settings(msgspec.Struct, frozen=True):
    """What the flags of a build mean for its Dockerfile."""

    target: str = ""
    base: str = ""  # instead of the image of the first FROM
    platform: Platform = msgspec.field(default_factory=host_platform)
    build_args: dict[str, str] = {}
    labels: tuple[tuple[str, str], ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    unset_env: tuple[str, ...] = ()
    inherit_labels: bool = True
    unset_labels: tuple[str, ...] = ()  # those of the base that are not inherited
    inherit_annotations: bool = True
    unset_annotations: tuple[str, ...] = ()
    network: str = ""
    add_hosts: tuple[str, ...] = ()
    hidden_env: tuple[str, ...] = ()
    no_cache: bool = False
    no_cache_filter: tuple[str, ...] = ()
    name_platform: bool = False  # in the names of steps
    allow: frozenset[str] = frozenset()
    """Entitlements: `security.insecure`, `network.host`, `device`, `device=NAME`."""


class Converter:
    """Converts one Dockerfile for one platform. Raises DockerfileError, or what the resolver raises."""

    def __init__(self, dockerfile: Dockerfile, settings: Settings, resolver: Resolver) -> None:
        self.dockerfile = dockerfile
        self.settings = settings
        self.resolver = resolver
        self.stages, self._meta = parse_instructions(dockerfile)
        if settings.base:
            first = self.stages[0]
            base = msgspec.structs.replace(first.base, image=settings.base)
            self.stages = (msgspec.structs.replace(first, base=base), *self.stages[1:])
        target = settings.target or self.stages[-1].name
        defaults = platform_args(host_platform(), settings.platform, target)
        self.args = ArgScope(self._meta, settings.build_args, defaults, escape=dockerfile.escape)
        self._states: dict[int, StageState] = {}
        self._images: dict[tuple[str, Platform], Vertex | None] = {}
        self._contexts: dict[str, Vertex] = {}
        self._links: tuple[StageLinks, ...] = ()
        self.epoch: int | None = None

    def convert(self) -> ImagePlan:
        """The plan of the target: the stage of that name or number, or the last one."""
        self._links = link_stages(self.stages, self.args, self.resolver.context_names())
        self.epoch = self._resolve_epoch()
        state = self.state_of(find_target(self.stages, self.settings.target))
        settings = self.settings
        state.apply_flags(settings.env, settings.unset_env, settings.labels)
        return msgspec.structs.replace(state.plan(), epoch=self.epoch)

    def base_images(self) -> list[str]:
        """The images that the target's stages stand on, without those that have one platform whatever is built."""
        links = link_stages(self.stages, self.args, self.resolver.context_names())
        target = find_target(self.stages, self.settings.target)
        found = []
        for index in sorted(reachable(links, target.index)):
            link = links[index]
            of_target = not link.stage.base.platform or "TARGET" in link.stage.base.platform
            if link.base is None and of_target and self._stands_on_image(link):
                found.append(link.expanded.image)
        return found

    def _stands_on_image(self, link: StageLinks) -> bool:
        """Whether FROM names an image: not scratch, and nothing that a named context stands for."""
        image, contexts = link.expanded.image, self.resolver.context_names()
        if image == "scratch" or is_replaced(link.stage, contexts):
            return False
        return self._context(image, self.settings.platform) is None

    def _resolve_epoch(self) -> int | None:
        """SOURCE_DATE_EPOCH as a number; where it names a source, the ARG has the source's time from now on."""
        args = self.args
        text = args.build_args.get("SOURCE_DATE_EPOCH", args.values.get("SOURCE_DATE_EPOCH", ""))
        if not text:
            return None
        try:
            source = epoch_source(text, self.stages, args, self.resolver, self.settings.platform)
        except UnknownEpoch:
            if "SOURCE_DATE_EPOCH" in args.build_args:
                raise
            return None  # a default of the file, which may mean something to its commands; the checks warn
        if isinstance(source, int):
            return source
        seconds = None if source is None else self.resolver.modified(source)
        for values in (args.build_args, args.values):
            if values.pop("SOURCE_DATE_EPOCH", None) is not None and seconds is not None:
                values["SOURCE_DATE_EPOCH"] = str(seconds)
        return seconds

    # stages

    def state_of(self, stage: c.Stage) -> StageState:
        """A stage, converted once."""
        known = self._states.get(stage.index)
        if known is None:
            known = self._convert_stage(stage)
            self._states[stage.index] = known
        return known

    def _convert_stage(self, stage: c.Stage) -> StageState:
        link = self._links[stage.index]
        base = link.expanded
        platform = self.settings.platform
        if base.platform:
            try:
                platform = Platform.parse(base.platform)
            except WerfError as error:
                raise DockerfileError(error.message, hint=error.hint, source=base.source) from error
        replaced = self._context(stage.name, platform) if stage.name else None
        if replaced is not None:  # --build-context of a stage's name takes the place of the whole stage
            return self._on_found(stage, replaced, stage.name, platform)
        if link.base is not None:
            state = StageState.on_stage(self, stage, self.state_of(self.stages[link.base]))
        else:
            state = self._on_image(stage, base.image, platform)
        state.wait_for([self.state_of(other).vertex for other in after_stages(self.stages, stage.index, base)])
        state.run_all(stage.commands)
        return state

    def _context(self, name: str, platform: Platform) -> ContextOp | BaseImage | None:
        return None if name.lower() in ("scratch", "context") else self.resolver.context(name, platform)

    def _on_image(self, stage: c.Stage, image: str, platform: Platform) -> StageState:
        found = self._context(image, platform)
        if found is None:
            if image == "scratch":
                return StageState.on_image(self, stage, None, None, platform)
            names = [item.name for item in self.stages[: stage.index] if item.name]
            found = self._located(
                stage.base.source, lambda: self.resolver.image(image, platform), image, nearest(image, names)
            )
        return self._on_found(stage, found, image, platform)

    def _on_found(self, stage: c.Stage, found: ContextOp | BaseImage, name: str, platform: Platform) -> StageState:
        if isinstance(found, BaseImage):
            vertex = self._image_vertex(found, name, platform, stage.base)
            return StageState.on_image(self, stage, found, vertex, platform)
        # files without a config: the stage begins with them as they are
        files = self.context_vertex(found)
        op = CopyOp(sources=("/",), dest="/", dest_is_dir=True)
        vertex = Vertex(op, (None, files), name=f"[internal] unpack {name}", source=stage.base.range)
        return StageState.on_image(self, stage, None, vertex, platform)

    def _image_vertex(self, found: BaseImage, name: str, platform: Platform, where: c.Command) -> Vertex | None:
        key = (str(found.op.config), platform)
        if key not in self._images:
            vertex = Vertex(found.op, name=f"[internal] load {name}", source=where.range) if found.op.diff_ids else None
            self._images[key] = vertex
        return self._images[key]

    def files_from(self, name: str, stage: c.Stage, platform: Platform, where: c.Command) -> Vertex | None:
        """The vertex that `--from=NAME` means in a stage: a context, a stage before it, or an image."""
        try:
            other = find_stage(self.stages, name)
        except DockerfileError as error:
            raise DockerfileError(
                f"invalid from flag value {name}: {error.message}", hint=error.hint, source=where.source
            ) from error
        if other is not None:
            if other.index >= stage.index and not is_replaced(other, self.resolver.context_names()):
                raise DockerfileError(
                    f"cannot copy from stage {name!r}, it needs to be defined before current stage "
                    f"{stage.name or str(stage.index)!r}",
                    hint="a stage can only copy from those before it",
                    source=where.source,
                )
            return self.state_of(other).vertex
        found = self._context(name, platform)
        if found is None:
            if name == "scratch":
                return None
            names = [item.name for item in self.stages[: stage.index] if item.name]
            similar = nearest(name, names, fold=True)
            try:
                found = self._located(where.source, lambda: self.resolver.image(name, platform), name, similar)
            except RegistryNotFound as error:
                raise DockerfileError(
                    f"--from={name}: no stage, build context or image found with that name"
                    + (f" (did you mean {similar}?)" if similar else ""),
                    hint=f"the stages before this one are {', '.join(names)}" if names else error.hint,
                    source=where.source,
                ) from error
        if isinstance(found, ContextOp):
            return self.context_vertex(found)
        return self._image_vertex(found, name, platform, where)

    def context_vertex(self, op: ContextOp) -> Vertex:
        """The one vertex of a context."""
        if op.name not in self._contexts:
            self._contexts[op.name] = Vertex(op, name=f"[internal] load {op.name or 'build context'}")
        return self._contexts[op.name]

    def _located(self, source: SourceExcerpt, ask: Callable[[], BaseImage], image: str, similar: str = "") -> BaseImage:
        """Ask the resolver; its errors get the place that they are about, and the stage or image that may be meant."""
        try:
            return ask()
        except WerfError as error:
            if similar:
                error.hint = f"did you mean the stage {similar}? (it was taken for an image)"
            elif known := nearest(image.partition("@")[0].partition(":")[0], _COMMON_IMAGES):
                error.hint = f"did you mean the image {known}?"
            if error.source is None:
                error.source = source
            raise

    def is_filtered(self, names: Sequence[str]) -> bool:
        """Whether one of a stage's names is in --no-cache-filter."""
        wanted = {item.lower() for item in self.settings.no_cache_filter}
        return any(name.lower() in wanted for name in names)
