"""One stage while it is converted: its file system's vertex, its image's config, and its variables."""

from __future__ import annotations

import functools
import posixpath
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, cast

import msgspec

from pywerf.errors import WerfError
from pywerf.frontend.dockerfile import commands as c
from pywerf.frontend.dockerfile.args import DEFAULT_PATH, StageArgs
from pywerf.frontend.dockerfile.config_state import CONFIG_INSTRUCTIONS, ConfigState
from pywerf.frontend.dockerfile.expansion import expand_instruction
from pywerf.frontend.dockerfile.instructions import parse_onbuild
from pywerf.graph.image_plan import HistoryStep, ImagePlan
from pywerf.graph.op import CopyOp, ExecOp, MkdirOp
from pywerf.graph.vertex import Vertex
from pywerf.oci.config import ContainerConfig, ImageConfig
from pywerf.oci.platform import Platform

if TYPE_CHECKING:
    from pywerf.frontend.dockerfile.convert import BaseImage, Converter, Settings

__all__ = ["StageState"]

_STEPS = (c.Run, c.Copy, c.Add, c.Workdir)


class StageState(ConfigState):
    """A stage in conversion. `run_all` carries out its instructions; `plan` gives the image."""

    def __init__(
        self,
        converter: Converter,
        stage: c.Stage,
        *,
        vertex: Vertex | None,
        config: ContainerConfig,
        base: ImageConfig | None,
        platform: Platform,
        args: StageArgs,
        steps: list[HistoryStep],
        annotations: dict[str, str],
    ) -> None:
        super().__init__(config)
        self.converter = converter
        self.stage = stage
        self.vertex = vertex
        self.base = base
        self.platform = platform
        self.args = args
        self.steps = steps
        self.annotations = annotations
        self._triggers: tuple[str, ...] = ()
        self._number = 1
        self._count = 1
        self._after: tuple[Vertex, ...] = ()
        settings = converter.settings
        names = (stage.name, str(stage.index))
        self._no_cache = settings.no_cache or converter.is_filtered([name for name in names if name])

    @classmethod
    def on_image(
        cls, converter: Converter, stage: c.Stage, found: BaseImage | None, vertex: Vertex | None, platform: Platform
    ) -> StageState:
        """A stage that begins with an image, or with nothing. The image's ONBUILD triggers wait to be run."""
        base = None if found is None else found.config
        config = ContainerConfig(env=(f"PATH={DEFAULT_PATH}",)) if base is None else base.config
        triggers, config = config.onbuild, _inherited(config, converter.settings)
        if base is not None and base.platform.os:
            platform = base.platform
        state = cls(
            converter,
            stage,
            vertex=vertex,
            config=config,
            base=base,
            platform=platform,
            args=converter.args.stage(_pairs(config.env)),
            steps=[],
            annotations=_inherited_annotations(found, converter.settings),
        )
        state._triggers = triggers
        return state

    @classmethod
    def on_stage(cls, converter: Converter, stage: c.Stage, before: StageState) -> StageState:
        """A stage that begins with another one: files, config and ARGs are inherited, and its ONBUILDs run.

        Its ENVs count again where an ARG of the same name came after them.
        """
        triggers, config = before.config.onbuild, _inherited(before.config, converter.settings)
        state = cls(
            converter,
            stage,
            vertex=before.vertex,
            config=config,
            base=before.base,
            platform=before.platform,
            args=converter.args.stage(_pairs(config.env), before.args),
            steps=list(before.steps),
            annotations=before.annotations,
        )
        state.author = before.author
        state._triggers = triggers
        return state

    def plan(self) -> ImagePlan:
        """The image of this stage."""
        return ImagePlan(
            vertex=self.vertex,
            config=self.config,
            platform=self.platform,
            base=self.base,
            steps=tuple(self.steps),
            author=self.author,
            stage=self.stage.name,
            annotations=self.annotations,
        )

    def apply_flags(
        self, env: Sequence[tuple[str, str]], unset: Sequence[str], labels: Sequence[tuple[str, str]]
    ) -> None:
        """--env, --unsetenv and --label: what the image gets at its end."""
        for key, value in env:
            self.set_env(key, value)
        if unset:
            kept = tuple(item for item in self.config.env if item.partition("=")[0] not in unset)
            self.change(env=kept)
        if labels:
            self.change(labels={**self.config.labels, **dict(labels)})

    def run_all(self, commands: Sequence[c.Command]) -> None:
        """Carry out the triggers of the base and the stage's own instructions, in order."""
        triggered = [parse_onbuild(text, self.stage.base.source) for text in self._triggers]
        self._count = 1 + sum(isinstance(command, _STEPS) for command in (*triggered, *commands))
        for command in (*triggered, *commands):
            expanded = self._expand(command)
            try:
                _handlers()[type(expanded)](self, expanded)
            except WerfError as error:
                if error.source is None:
                    error.source = command.source
                raise

    # variables

    def _expand(self, command: c.Command) -> c.Command:
        if isinstance(command, c.Arg):
            return self.args.declare(command)
        return expand_instruction(command, self.args.lookup, self.converter.dockerfile.escape)

    def set_env(self, key: str, value: str) -> None:
        """ConfigState; the instructions after it see the variable."""
        self.args.set_env([(key, value)])
        super().set_env(key, value)

    def note(self, text: str, vertex: Vertex | None = None) -> None:
        """A line of the image's history; without `vertex` nothing was done to the files."""
        self.steps.append(HistoryStep(text, vertex))

    def _name(self, text: str) -> str:
        """The name of the next step, as BuildKit numbers them."""
        self._number += 1
        many = len(self.converter.stages) > 1
        prefix = (self.stage.name or f"stage-{self.stage.index}") + " " if many else ""
        if self.converter.settings.name_platform:
            prefix = f"{self.platform} {prefix}"
        return f"[{prefix}{self._number}/{self._count}] {text}"

    # instructions: those that only change the config are in config_state, for what changes files see stage_files

    def arg(self, command: c.Arg) -> None:
        """ARG: what it changes is in `args` already; the history has the values that were used."""
        values = [pair.key if pair.value is None else f"{pair.key}={pair.value}" for pair in command.pairs]
        self.note(f"ARG {' '.join(values)}")

    def absolute(self, path: str) -> str:
        """A path of the image; relative ones are below WORKDIR."""
        joined = posixpath.join("/", self.config.working_dir, path)
        return "/" + posixpath.normpath(joined).lstrip("/")

    def skip_number(self) -> None:
        """Count a step that has nothing to do."""
        self._number += 1

    def step(
        self,
        op: CopyOp | MkdirOp | ExecOp,
        inputs: tuple[Vertex | None, ...],
        command: c.Command,
        text: str,
        hidden: tuple[str, ...] = (),
        args: tuple[str, ...] = (),
    ) -> Vertex:
        """The vertex of the next step; `text` is its name for people. It is the stage's file system from now on."""
        self.vertex = Vertex(
            op,
            (*inputs, *self._after),
            name=self._name(text),
            source=command.range,
            ignore_cache=self._no_cache,
            hidden_env=hidden,
            args=args,
            shell=self.config.shell or (),
        )
        self._after = ()
        return self.vertex

    def wait_for(self, vertices: Sequence[Vertex | None]) -> None:
        """The next step waits for these as well."""
        self._after = tuple(vertex for vertex in vertices if vertex is not None)


def _inherited(config: ContainerConfig, settings: Settings) -> ContainerConfig:
    """What a stage has of the config that it begins with: no ONBUILD, and the labels that the flags let through."""
    labels = config.labels
    if not settings.inherit_labels:
        labels = {}
    elif settings.unset_labels:
        labels = {key: value for key, value in labels.items() if key not in settings.unset_labels}
    return msgspec.structs.replace(config, onbuild=(), labels=labels)


def _inherited_annotations(found: BaseImage | None, settings: Settings) -> dict[str, str]:
    if found is None or not settings.inherit_annotations:
        return {}
    return {key: value for key, value in found.annotations.items() if key not in settings.unset_annotations}


def _pairs(env: Sequence[str]) -> list[tuple[str, str]]:
    return [(key, value) for key, _, value in (item.partition("=") for item in env)]


@functools.cache
def _handlers() -> dict[type[c.Command], Callable[[StageState, c.Command], None]]:
    """By kind of instruction; each takes the kind that it is listed for."""
    from pywerf.frontend.dockerfile import stage_files

    return cast(
        "dict[type[c.Command], Callable[[StageState, c.Command], None]]",
        {
            **CONFIG_INSTRUCTIONS,
            c.Add: stage_files.add,
            c.Arg: StageState.arg,
            c.Copy: stage_files.copy,
            c.Run: stage_files.run,
            c.Workdir: stage_files.workdir,
        },
    )
