"""Builds what is missing of one image: looks for each of its stages, builds and publishes those that nobody has."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import msgspec

from pywerf import __version__
from pywerf.build.project.caches import bring_from_caches, copy_to_caches
from pywerf.build.project.choosing import choose, find_elsewhere, publish
from pywerf.build.project.image_output import ImageBlock, found_line, stage_lines
from pywerf.build.project.image_plan import PlannedStage, PreparedImage, named
from pywerf.build.project.introspection import WantedStages
from pywerf.build.project.results import BuiltImage, BuiltPlatform, BuiltStage, StageSource
from pywerf.build.project.storage.local import LocalStageStorage
from pywerf.build.project.storage.model import (
    COMMIT_LABEL,
    CONTENT_DIGEST_LABEL,
    PARENT_LABEL,
    PROJECT_LABEL,
    VERSION_LABEL,
    StageDescription,
    StageId,
    dependency_label,
)
from pywerf.errors import BuildError, DigestMismatch, ImageNotFound, RegistryError, WerfError
from pywerf.oci.platform import Platform, host_platform

if TYPE_CHECKING:
    from pywerf.backend.contract import DockerfileBuild
    from pywerf.build.backends import LazyBackend
    from pywerf.build.project.options import ImageBuildOptions
    from pywerf.build.project.project import Project
    from pywerf.build.project.repos import Repos
    from pywerf.build.project.staged_plan import StagedPlan, Step
    from pywerf.build.project.storage.base import StageStorage
    from pywerf.config.werf_yaml.model import ImageSpec

__all__ = ["ImageBuilder", "ImageTask", "StageLost"]


class StageLost(Exception):
    """A stage that was chosen turned out to be missing or damaged. It is rejected now: the build has to begin anew."""


class ImageTask(msgspec.Struct, frozen=True):
    """An image to be made for a platform; the images that it needs are `built`. `shown` is its name in output.

    Of a staged image each stage of the Dockerfile is a task of its own: `staged` is the whole, `parts` are those that
    are there already, by their numbers, and `before` is the last stage of the one that it is built on.
    """

    prepared: PreparedImage
    platform: Platform
    shown: str
    built: Mapping[str, BuiltImage]
    staged: StagedPlan | None = None
    parts: Mapping[int, BuiltPlatform] = {}
    before: StageDescription | None = None

    def dependencies(self) -> list[StageDescription]:
        """The last stages of the other images that it needs."""
        return self.prepared.dependencies(self.built, self.platform)


class ImageBuilder:
    """Makes images of a project, for one run. Images may be made by several threads, each by one."""

    def __init__(self, project: Project, repos: Repos, backend: LazyBackend, options: ImageBuildOptions) -> None:
        self._project = project
        self._repos = repos
        self._backend = backend
        self._options = options
        self._introspected = WantedStages.parse(options.introspect)
        self._digests: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()
        self._local: LocalStageStorage | None = None

    def find(self, stages: Sequence[PlannedStage], before: StageDescription | None = None) -> tuple[BuiltStage, ...]:
        """The stages of an image as they are published, up to the first one that is missing. Nothing is built.

        The secondary storages count as well: what they have is brought here. `before` is what the first is built on.
        """
        found: list[BuiltStage] = []
        for stage in stages:
            one = self._found(stage, found[-1].description if found else before)
            if one is None:
                break
            found.append(one)
        return tuple(found)

    def make(self, task: ImageTask, stages: Sequence[PlannedStage], block: ImageBlock) -> BuiltPlatform:
        """The image for a platform. Raises WerfError that names image and stage, StageLost."""
        prepared, platform = task.prepared, task.platform
        done: list[BuiltStage] = []
        for stage in stages:
            before = done[-1].description if done else task.before
            with self._alone(stage.digest):
                began = time.monotonic()
                try:
                    made = self._stage(task, stage, before, block)
                except (RegistryError, DigestMismatch, ImageNotFound) as error:
                    self._look_for_damage(task, stage, before)
                    raise named(error, f"{task.shown}, stage {stage.name}") from error
                except WerfError as error:
                    raise named(error, f"{task.shown}, stage {stage.name}") from error
                seconds = time.monotonic() - began if made.rebuilt else 0.0
                made = msgspec.structs.replace(made, seconds=seconds)
            shown = str(platform) if len(prepared.platforms) > 1 or platform != host_platform() else ""
            network = (self._options.network or prepared.image.network) if made.rebuilt else ""
            block.lines(stage_lines(made.description, before, platform=shown, network=network))
            done.append(made)
            self.introspect(prepared, task.shown, platform, made)
        return BuiltPlatform(str(platform), tuple(done), stages[-1].content_digest)

    def introspect(self, prepared: PreparedImage, shown: str, platform: Platform, stage: BuiltStage) -> None:
        """Open a shell in the image of a stage, if one is wanted after it. On the main thread only.

        `shown` is the image's name in output, or that of a stage of its Dockerfile.
        """
        name = prepared.image.name + shown.removeprefix(prepared.shown)
        if not self._options.terminal or not self._introspected.wants(name, stage.name):
            return
        from pywerf.build.project.introspection import look_into_stage

        backend = self._backend()
        bring_from_caches(self._repos, stage.description.id, backend)
        image = self._repos.main.fetch(stage.description.id, backend)
        look_into_stage(backend, self._repos.reporter, image, f"{shown}/{stage.name}", platform)

    def _stage(
        self, task: ImageTask, stage: PlannedStage, before: StageDescription | None, block: ImageBlock
    ) -> BuiltStage:
        where = f"{task.shown}/{stage.name}"
        found = self._found(stage, before)
        if found is not None:
            block.line(found_line(where, found))
            return found
        if self._options.check_built:
            raise BuildError(
                f"the stage is not built yet (digest {stage.digest})",
                hint="build and publish it first, from the same commit; a context with .git or generated files in it, "
                "or another --repo, gives other digests",
            )
        block.now(f"Building stage {where}")
        if stage.step is not None:
            description, mine = self._step(task, stage, stage.step, before)
        elif stage.name == "imageSpec":
            assert before is not None
            assert task.prepared.spec is not None
            description, mine = self._specify(task.prepared, stage, before, task.prepared.spec)
        else:
            description, mine = self._build(task, stage)
        if not mine:
            block.line(f"Discarding newly built image for {where}: another builder was first")
            return BuiltStage(stage.name, description)
        block.line(f"Stored {where} in {self._repos.main.address}")
        copy_to_caches(self._repos, description.id)
        source: StageSource = "repo" if before is not None and not self._repos.options.is_local else ""
        return BuiltStage(stage.name, description, rebuilt=True, source=source)

    def _found(self, stage: PlannedStage, before: StageDescription | None) -> BuiltStage | None:
        not_before = before.id.timestamp if before is not None else 0
        found = choose(self._repos.main, stage.digest, not_before=not_before)
        if found is not None:
            return BuiltStage(stage.name, found)
        found = self._elsewhere(stage.digest, not_before)
        if found is None:
            return None
        copy_to_caches(self._repos, found.id)
        return BuiltStage(stage.name, found, source="secondary")

    # building

    def _build(self, task: ImageTask, stage: PlannedStage) -> tuple[StageDescription, bool]:
        backend, prepared = self._backend(), task.prepared
        needed = task.dependencies()
        for other in needed:
            bring_from_caches(self._repos, other.id, backend)
        with ExitStack() as stack:
            build = msgspec.structs.replace(
                self._options_of(task, stack),
                build_args=prepared.build_args(task.built, task.platform),
                labels=self._labels(stage) | _dependency_labels(needed),
            )
            own = str(backend.builder.build(build))
        return self._publish(stage, own, None)

    def _step(
        self, task: ImageTask, stage: PlannedStage, step: Step, before: StageDescription | None
    ) -> tuple[StageDescription, bool]:
        """An instruction of a staged image."""
        from pywerf.build.project.staged_build import build_step, derived_config, source_labels

        plan = task.staged
        assert plan is not None
        labels = self._labels(stage) | source_labels(step, task.parts)
        if before is not None:
            labels[PARENT_LABEL] = str(before.id)
        if stage.digest == plan.last.digest:
            labels |= _dependency_labels(task.dependencies())
        if step.only_config and before is not None:
            return self._derive(stage, before, lambda config: derived_config(config, step, plan, labels))
        backend = self._backend()
        for other in task.dependencies():
            bring_from_caches(self._repos, other.id, backend)
        with ExitStack() as stack:
            build = msgspec.structs.replace(self._options_of(task, stack), labels=labels)
            own = build_step(
                step,
                plan,
                task.prepared.dockerfile,
                build,
                task.platform,
                before,
                task.parts,
                self._repos,
                backend,
            )
        return self._publish(stage, own, before)

    def _options_of(self, task: ImageTask, stack: ExitStack) -> DockerfileBuild:
        """The build of an image with what the command line says, and its secrets, which last as long as the stack."""
        from pywerf.build.project.image_secrets import secrets_of

        options, image = self._options, task.prepared.image
        return msgspec.structs.replace(
            task.prepared.build,
            platforms=(task.platform,) if image.platforms else (),
            secrets=secrets_of(image, self._project.directory, stack),
            ssh=options.ssh or ((image.ssh,) if image.ssh else ()),
            network=options.network or image.network,
            no_cache=options.no_cache,
            pull=options.pull,
            cache_from=options.cache_from,
        )

    def _publish(self, stage: PlannedStage, own: str, before: StageDescription | None) -> tuple[StageDescription, bool]:
        """Publish an image of the backend as a stage, unless another builder was first."""
        backend = self._backend()
        description, mine = publish(
            self._repos,
            stage.digest,
            lambda name: self._repos.main.publish(own, name, backend),
            not_before=before.id.timestamp if before is not None else 0,
        )
        if not mine:
            self._throw_away(own)
        return description, mine

    def _specify(
        self, prepared: PreparedImage, stage: PlannedStage, before: StageDescription, spec: ImageSpec
    ) -> tuple[StageDescription, bool]:
        from pywerf.build.project.image_spec import apply_image_spec

        labels = self._labels(stage) | {PARENT_LABEL: str(before.id)}

        def change(config: bytes) -> bytes:
            return apply_image_spec(
                config,
                spec,
                image=prepared.image.name,
                project=self._project.config.meta.project,
                warn=lambda text: self._repos.reporter.message("warning", f"image {prepared.shown}: {text}"),
                essential=labels,
            )

        return self._derive(stage, before, change)

    def _derive(
        self, stage: PlannedStage, before: StageDescription, change: Callable[[bytes], bytes]
    ) -> tuple[StageDescription, bool]:
        """Publish a stage that is the one before it with another config."""
        main = self._repos.main
        return publish(
            self._repos,
            stage.digest,
            lambda name: main.derive(before.id, name, change, self._backend),
            not_before=before.id.timestamp,
        )

    def _labels(self, stage: PlannedStage) -> dict[str, str]:
        return {
            PROJECT_LABEL: self._project.config.meta.project,
            VERSION_LABEL: f"pywerf {__version__}",
            COMMIT_LABEL: self._project.commit,
            CONTENT_DIGEST_LABEL: stage.content_digest,
        }

    def _throw_away(self, image: str) -> None:
        """Remove an image that nobody will ask for, unless it has become somebody's meanwhile."""
        images = self._backend().images
        with contextlib.suppress(WerfError):
            if not images.inspect(image).names:
                images.remove([image])

    # other places

    def _elsewhere(self, digest: str, not_before: int) -> StageDescription | None:
        others: list[StageStorage] = []
        if not self._repos.options.is_local:
            local = self._local_storage()
            others = [*((local,) if local is not None else ()), *self._repos.secondaries]
        return find_elsewhere(self._repos, digest, others, self._take, not_before=not_before)

    def _local_storage(self) -> LocalStageStorage | None:
        """The backend's own stages: the first secondary storage of a repository, once the backend is open."""
        backend = self._backend.opened
        with self._lock:
            if self._local is None and backend is not None:
                self._local = LocalStageStorage(self._project.config.meta.project, backend)
            return self._local

    def _take(self, storage: StageStorage, stage: StageId) -> StageDescription:
        from pywerf.build.project.storage.registry import RegistryStageStorage, copy_stage

        main = self._repos.main
        if isinstance(storage, RegistryStageStorage) and isinstance(main, RegistryStageStorage):
            return copy_stage(storage, main, stage)
        backend = self._backend()
        return main.publish(storage.fetch(stage, backend), stage, backend)

    def _look_for_damage(self, task: ImageTask, stage: PlannedStage, before: StageDescription | None) -> None:
        """After an error that may come of a damaged stage: reject those that are, and raise StageLost."""
        used = [*task.dependencies(), *((before,) if before is not None else ())]
        if stage.step is not None:
            used += [task.parts[number].last for number in stage.step.needs if number in task.parts]
        with contextlib.suppress(WerfError):
            lost = [one for one in used if not self._repos.main.intact(one.id)]
            for one in lost:
                self._repos.main.reject(one.id)
                self._repos.reporter.message(
                    "warning", f"{one.name} is missing or damaged: it will not be used any more"
                )
            if lost:
                raise StageLost

    @contextmanager
    def _alone(self, digest: str) -> Iterator[None]:
        """Within this process one digest is one thread's business at a time."""
        with self._lock:
            lock = self._digests.setdefault(digest, threading.Lock())
        with lock:
            yield


def _dependency_labels(needed: Sequence[StageDescription]) -> dict[str, str]:
    return {dependency_label(other.id): str(other.id) for other in needed}
