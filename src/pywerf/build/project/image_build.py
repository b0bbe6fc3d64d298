"""Builds what is missing of one image: looks for each of its stages, builds and publishes those that nobody has."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
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
    from pywerf.build.backends import LazyBackend
    from pywerf.build.project.options import ImageBuildOptions
    from pywerf.build.project.project import Project
    from pywerf.build.project.repos import Repos
    from pywerf.build.project.storage.base import StageStorage
    from pywerf.config.werf_yaml.model import ImageSpec

__all__ = ["ImageBuilder", "StageLost"]


class StageLost(Exception):
    """A stage that was chosen turned out to be missing or damaged. It is rejected now: the build has to begin anew."""


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

    def find(self, stages: Sequence[PlannedStage]) -> tuple[BuiltStage, ...] | None:
        """All stages of an image as they are published; None when one is missing. Nothing is built.

        The secondary storages count as well: what they have is brought here.
        """
        found: list[BuiltStage] = []
        for stage in stages:
            one = self._found(stage, found[-1].description if found else None)
            if one is None:
                return None
            found.append(one)
        return tuple(found)

    def make(
        self,
        prepared: PreparedImage,
        platform: Platform,
        stages: Sequence[PlannedStage],
        built: Mapping[str, BuiltImage],
        block: ImageBlock,
    ) -> BuiltPlatform:
        """The image for a platform. Raises WerfError that names image and stage, StageLost."""
        done: list[BuiltStage] = []
        for stage in stages:
            before = done[-1].description if done else None
            with self._alone(stage.digest):
                began = time.monotonic()
                try:
                    made = self._stage(prepared, platform, stage, before, built, block)
                except (RegistryError, DigestMismatch, ImageNotFound) as error:
                    self._look_for_damage(prepared, platform, before, built)
                    raise named(error, f"{prepared.shown}, stage {stage.name}") from error
                except WerfError as error:
                    raise named(error, f"{prepared.shown}, stage {stage.name}") from error
                seconds = time.monotonic() - began if made.rebuilt else 0.0
                made = msgspec.structs.replace(made, seconds=seconds)
            shown = str(platform) if len(prepared.platforms) > 1 or platform != host_platform() else ""
            network = (self._options.network or prepared.image.network) if made.rebuilt else ""
            block.lines(stage_lines(made.description, before, platform=shown, network=network))
            done.append(made)
            self.introspect(prepared, platform, made)
        return BuiltPlatform(str(platform), tuple(done), stages[-1].content_digest)

    def introspect(self, prepared: PreparedImage, platform: Platform, stage: BuiltStage) -> None:
        """Open a shell in the image of a stage, if one is wanted after it. On the main thread only."""
        if not self._options.terminal or not self._introspected.wants(prepared.image.name, stage.name):
            return
        from pywerf.build.project.introspection import look_into_stage

        backend = self._backend()
        bring_from_caches(self._repos, stage.description.id, backend)
        image = self._repos.main.fetch(stage.description.id, backend)
        look_into_stage(backend, self._repos.reporter, image, f"{prepared.shown}/{stage.name}", platform)

    def _stage(
        self,
        prepared: PreparedImage,
        platform: Platform,
        stage: PlannedStage,
        before: StageDescription | None,
        built: Mapping[str, BuiltImage],
        block: ImageBlock,
    ) -> BuiltStage:
        where = f"{prepared.shown}/{stage.name}"
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
        if stage.name == "imageSpec":
            assert before is not None
            assert prepared.spec is not None
            description, mine = self._derive(prepared, stage, before, prepared.spec)
        else:
            description, mine = self._build(prepared, platform, stage, built, block)
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

    def _build(
        self,
        prepared: PreparedImage,
        platform: Platform,
        stage: PlannedStage,
        built: Mapping[str, BuiltImage],
        block: ImageBlock,
    ) -> tuple[StageDescription, bool]:
        from pywerf.build.project.image_secrets import secrets_of

        backend, options, image = self._backend(), self._options, prepared.image
        needed = [description.id for description in prepared.dependencies(built, platform)]
        for other in needed:
            bring_from_caches(self._repos, other, backend)
        with ExitStack() as stack:
            build = msgspec.structs.replace(
                prepared.build,
                build_args=prepared.build_args(built, platform),
                labels=self._labels(stage) | {dependency_label(other): str(other) for other in needed},
                platforms=(platform,) if image.platforms else (),
                secrets=secrets_of(image, self._project.directory, stack),
                ssh=options.ssh or ((image.ssh,) if image.ssh else ()),
                network=options.network or image.network,
                no_cache=options.no_cache,
                pull=options.pull,
                cache_from=options.cache_from,
            )
            own = str(backend.builder.build(build))
        description, mine = publish(
            self._repos, stage.digest, lambda name: self._repos.main.publish(own, name, backend)
        )
        if not mine:
            self._throw_away(own)
        return description, mine

    def _derive(
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

    def _look_for_damage(
        self,
        prepared: PreparedImage,
        platform: Platform,
        before: StageDescription | None,
        built: Mapping[str, BuiltImage],
    ) -> None:
        """After an error that may come of a damaged stage: reject those that are, and raise StageLost."""
        used = [*prepared.dependencies(built, platform), *((before,) if before is not None else ())]
        with contextlib.suppress(WerfError):
            lost = [stage for stage in used if not self._repos.main.intact(stage.id)]
            for stage in lost:
                self._repos.main.reject(stage.id)
                self._repos.reporter.message(
                    "warning", f"{stage.name} is missing or damaged: it will not be used any more"
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
