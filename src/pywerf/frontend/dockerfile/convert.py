"""A Dockerfile becomes a graph: the vertices that the target needs, and the config of its image.

Nothing is done here beyond asking for the configs of base images, which ENV, WORKDIR and ONBUILD build on. Stages
that the target does not need are not looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from pywerf.errors import DockerfileError, SourceExcerpt, WerfError
from pywerf.frontend.dockerfile import commands as c
from pywerf.frontend.dockerfile.args import ArgScope, platform_args
from pywerf.frontend.dockerfile.ast import Dockerfile
from pywerf.frontend.dockerfile.instructions import find_base_stage, find_stage, parse_instructions, parse_stage_index
from pywerf.frontend.dockerfile.stage_state import StageState
from pywerf.frontend.dockerfile.suggest import did_you_mean
from pywerf.graph.image_plan import ImagePlan
from pywerf.graph.op import ContextOp, HttpOp, ImageOp
from pywerf.graph.vertex import Vertex
from pywerf.oci.config import ImageConfig
from pywerf.oci.platform import Platform, host_platform

__all__ = ["BaseImage", "Converter", "Resolver", "Settings"]


class BaseImage(msgspec.Struct, frozen=True):
    """An image that a stage stands on, or that files are copied from."""

    op: ImageOp
    config: ImageConfig


class Resolver(Protocol):
    """What lies outside of a Dockerfile."""

    def image(self, name: str, platform: Platform) -> BaseImage:
        """The image of that name; only its manifest and config are read. Raises WerfError."""

    def context(self, name: str, platform: Platform) -> ContextOp | BaseImage | None:
        """What `--build-context NAME=…` stands for; None when there is no such context."""

    def remote(self, url: str, keep_git_dir: bool, checksum: str) -> ContextOp | HttpOp | None:
        """What ADD gets from outside: a git repository or a download; None: `url` is a path in the context."""


class Settings(msgspec.Struct, frozen=True):
    """What the flags of a build mean for its Dockerfile."""

    target: str = ""
    platform: Platform = msgspec.field(default_factory=host_platform)
    build_args: dict[str, str] = {}
    labels: tuple[tuple[str, str], ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    unset_env: tuple[str, ...] = ()
    network: str = ""
    add_hosts: tuple[str, ...] = ()
    hidden_env: tuple[str, ...] = ()
    no_cache: bool = False
    no_cache_filter: tuple[str, ...] = ()
    name_platform: bool = False  # in the names of steps


class Converter:
    """Converts one Dockerfile for one platform. Raises DockerfileError, or what the resolver raises."""

    def __init__(self, dockerfile: Dockerfile, settings: Settings, resolver: Resolver) -> None:
        self.dockerfile = dockerfile
        self.settings = settings
        self.resolver = resolver
        self.stages, self._meta = parse_instructions(dockerfile)
        defaults = platform_args(host_platform(), settings.platform, settings.target)
        self.args = ArgScope(self._meta, settings.build_args, defaults, escape=dockerfile.escape)
        self._states: dict[int, StageState] = {}
        self._images: dict[tuple[str, Platform], Vertex | None] = {}
        self._contexts: dict[str, Vertex] = {}

    def convert(self) -> ImagePlan:
        """The plan of the target: the stage of that name or number, or the last one."""
        stage = self._target()
        state = self.state_of(stage)
        settings = self.settings
        state.apply_flags(settings.env, settings.unset_env, settings.labels)
        return state.plan()

    def _target(self) -> c.Stage:
        target = self.settings.target
        if not target:
            return self.stages[-1]
        stage = find_stage(self.stages, target)
        if stage is None:
            names = [item.name for item in self.stages if item.name]
            raise DockerfileError(
                f"target stage {target!r} could not be found{did_you_mean(target, names)}",
                hint=f"the file has the stages {', '.join(names)}" if names else "no stage of the file has a name",
            )
        return stage

    # stages

    def state_of(self, stage: c.Stage) -> StageState:
        """A stage, converted once."""
        known = self._states.get(stage.index)
        if known is None:
            known = self._convert_stage(stage)
            self._states[stage.index] = known
        return known

    def _convert_stage(self, stage: c.Stage) -> StageState:
        base = self.args.expand_from(stage.base)
        image = base.image
        platform = self.settings.platform
        if base.platform:
            try:
                platform = Platform.parse(base.platform)
            except WerfError as error:
                raise DockerfileError(error.message, hint=error.hint, source=base.source) from error
        before = find_base_stage(self.stages, stage.index, image)
        if before is not None:
            state = StageState.on_stage(self, stage, self.state_of(before))
        else:
            state = self._on_image(stage, image, platform)
        state.run_all(stage.commands)
        return state

    def _on_image(self, stage: c.Stage, image: str, platform: Platform) -> StageState:
        found: ContextOp | BaseImage | None = self.resolver.context(image, platform)
        if found is None:
            if image == "scratch":
                return StageState.on_image(self, stage, None, None, platform)
            found = self._located(stage.base.source, lambda: self.resolver.image(image, platform))
        if isinstance(found, ContextOp):
            raise DockerfileError(
                f"the build context {image!r} is no image: a stage cannot stand on it",
                hint="name an image with docker-image:// or oci-layout://",
                source=stage.base.source,
            )
        vertex = self._image_vertex(found, image, platform, stage.base)
        return StageState.on_image(self, stage, found, vertex, platform)

    def _image_vertex(self, found: BaseImage, name: str, platform: Platform, where: c.Command) -> Vertex | None:
        key = (str(found.op.config), platform)
        if key not in self._images:
            vertex = Vertex(found.op, name=f"[internal] load {name}", source=where.range) if found.op.diff_ids else None
            self._images[key] = vertex
        return self._images[key]

    def files_from(self, name: str, stage: c.Stage, platform: Platform, where: c.Command) -> Vertex | None:
        """The vertex that `--from=NAME` means in a stage: a stage before it, a context, or an image."""
        index = parse_stage_index(name)
        if index is not None and 0 <= index < stage.index:
            return self.state_of(self.stages[index]).vertex
        if index is not None:
            raise DockerfileError(
                f"invalid from flag value {name}: refers to no stage before this one", source=where.source
            )
        for other in reversed(self.stages[: stage.index]):
            if other.name and other.name == name.lower():
                return self.state_of(other).vertex
        found = self.resolver.context(name, platform)
        if isinstance(found, ContextOp):
            return self.context_vertex(found)
        if found is None:
            if name == "scratch":
                return None
            later = [item.name for item in self.stages[stage.index :]]
            if name.lower() in later:
                raise DockerfileError(
                    f"stage {name!r} comes after this one",
                    hint="a stage can only copy from those before it",
                    source=where.source,
                )
            found = self._located(where.source, lambda: self.resolver.image(name, platform))
        assert isinstance(found, BaseImage)
        return self._image_vertex(found, name, platform, where)

    def context_vertex(self, op: ContextOp) -> Vertex:
        """The one vertex of a context."""
        if op.name not in self._contexts:
            self._contexts[op.name] = Vertex(op, name=f"[internal] load {op.name or 'build context'}")
        return self._contexts[op.name]

    def _located(self, source: SourceExcerpt, ask: Callable[[], BaseImage]) -> BaseImage:
        """Ask the resolver; its errors get the place that they are about."""
        try:
            return ask()
        except WerfError as error:
            if error.source is None:
                error.source = source
            raise

    def is_filtered(self, names: Sequence[str]) -> bool:
        """Whether one of a stage's names is in --no-cache-filter."""
        wanted = {item.lower() for item in self.settings.no_cache_filter}
        return any(name.lower() in wanted for name in names)
