"""Builds the images of a project: looks for what is published, then makes what is missing, set by set.

    with Repos.open(…) as repos, LazyBackend(…) as backend:
        for image in build_project(project, backend, repos, names, options, reporter): …     # results.BuiltImage

The parts: image_plan.py (what an image is made from, and its digests), choosing.py (which stage is taken, how one is
published), image_build.py (making one image), after_build.py (indexes, copies, tags, records), image_output.py.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Literal

import msgspec
from msgspec.structs import replace

from pywerf.build.last_use import LastUse
from pywerf.build.project.after_build import add_custom_tags, commits_of, finish, warn_of_many_tags, write_records
from pywerf.build.project.base_configs import BaseConfigs
from pywerf.build.project.custom_tags import check_custom_tags
from pywerf.build.project.image_build import ImageBuilder, ImageTask, StageLost
from pywerf.build.project.image_output import ImageBlock, found_line, stage_lines, summary_lines, tell_plan
from pywerf.build.project.image_plan import (
    PlannedImage,
    PreparedImage,
    plan_image,
    planned_part,
    prepare,
    stage_names,
)
from pywerf.build.project.introspection import WantedStages
from pywerf.build.project.memo import FileMemo
from pywerf.build.project.results import BuiltImage, BuiltPlatform, BuiltStage
from pywerf.config.werf_yaml.model import shown_name
from pywerf.config.werf_yaml.project import build_sets
from pywerf.errors import BuildError, BuildStopped, UsageError
from pywerf.oci.platform import Platform, host_platform
from pywerf.report.blocks import BlockReporter

if TYPE_CHECKING:
    from pywerf.build.backends import LazyBackend
    from pywerf.build.project.options import ImageBuildOptions
    from pywerf.build.project.project import Project
    from pywerf.build.project.repos import Repos
    from pywerf.util.events import Reporter

__all__ = ["build_project"]

ATTEMPTS = 4
PAUSES = (2.0, 5.0, 10.0)  # seconds before the next attempt


def build_project(
    project: Project,
    backend: LazyBackend,
    repos: Repos,
    names: Sequence[str],
    options: ImageBuildOptions,
    reporter: Reporter,
    *,
    pause: Callable[[float], None] = time.sleep,
) -> list[BuiltImage]:
    """Build images, and what they need; the result has all of them, in the order of werf.yaml.

    Nothing is built that is published already, and the backend is opened only when something has to be built. The
    first error stops all others. Raises WerfError; its message names the image and the stage.
    """
    _check(project, names, options, repos)
    for attempt in range(ATTEMPTS):
        try:
            return _Run(project, backend, repos, options, reporter).run(names)
        except StageLost:
            if attempt == ATTEMPTS - 1:
                break
            reporter.message("warning", "the build begins anew")
            pause(PAUSES[attempt])
            repos.main.stages(fresh=True)
    raise BuildError("stages that were chosen turned out to be missing or damaged, time and again")


def _check(project: Project, names: Sequence[str], options: ImageBuildOptions, repos: Repos) -> None:
    commits_of(project)
    if not options.custom_tags:
        return
    if repos.options.is_local:
        raise UsageError("--add-custom-tag needs --repo: the tags are given in a repository")
    images = [image for name in names if (image := project.config.image(name)) is not None]
    check_custom_tags(options.custom_tags, [image.name for image in images if image.final])


class _Work(msgspec.Struct, frozen=True):
    """What a thread makes: an image, or in a staged one a stage of the Dockerfile: number `part`.

    That one has a `name`, unless it is the target, with which the image is there. Those of a lower `level` come before.
    """

    prepared: PreparedImage
    tasks: Mapping[Platform, PlannedImage] = {}
    part: int = 0
    name: str = ""
    level: int = 0


class _Run:
    """One attempt at a build."""

    def __init__(
        self, project: Project, backend: LazyBackend, repos: Repos, options: ImageBuildOptions, reporter: Reporter
    ) -> None:
        self.project = project
        self.backend = backend
        self.repos = repos
        self.options = options
        self.reporter = reporter
        self.introspected = WantedStages.parse(options.introspect)
        self.builder = ImageBuilder(project, repos, backend, options)
        home = repos.options.home
        self.bases = BaseConfigs(home, repos.access, opened=lambda: backend.opened, backend=backend, fresh=options.pull)
        self.contexts = FileMemo(home, "contexts/1")
        self.built: dict[str, BuiltImage] = {}
        self.parts: dict[str, dict[Platform, dict[int, BuiltPlatform]]] = {}  # of staged images
        self.titles: dict[str, str] = {}
        self._told = False

    def run(self, names: Sequence[str]) -> list[BuiltImage]:
        sets = build_sets(self.project.config, names)
        order = [name for each in sets for name in each]
        # before anything is built: mistakes in other images should not come after minutes
        with_spec = not self.options.skip_image_spec
        prepared = {name: prepare(self.project, name, with_spec=with_spec) for name in order}
        names_of = {name: stage_names(prepared[name]) for name in order}
        self.introspected.check([image.name for image in self.project.config.images], names_of)
        workers = _workers(self.options, max(map(len, sets), default=1))
        if self.backend.opened is not None:
            self._tell_backend()
        tell_plan(sets, workers, self.reporter)
        self.titles = {
            name: f"({number}/{len(order)}) image {shown_name(name)}" for number, name in enumerate(order, 1)
        }
        for each in sets:
            works = [work for name in each for work in self._missing(prepared[name])]
            if works:
                self._make_all(works, workers)
        found = [self.built[image.name] for image in self.project.config.images if image.name in self.built]
        chosen = set(names)
        tagged = add_custom_tags(
            [image for image in found if image.name in chosen], self.options.custom_tags, self.repos
        )
        by_name = {image.name: image for image in (*found, *tagged)}
        found = [by_name[image.name] for image in found]
        write_records(found, self.project, self.repos, self.reporter)
        _note_use(self._stages(), self.repos.options.home)
        if any(image.rebuilt for image in found):
            warn_of_many_tags(self.repos, self.reporter)
        if len(found) > 1:
            for line in summary_lines(found):
                self.reporter.message("info", line)
        return found

    def _stages(self) -> Iterator[BuiltStage]:
        """All stages that were built or found, those of the other stages of staged images' Dockerfiles, too."""
        for image in self.built.values():
            for one in image.platforms:
                yield from one.stages
        for platforms in self.parts.values():
            for parts in platforms.values():
                for one in parts.values():
                    yield from one.stages

    def _tell_backend(self) -> None:
        """Say what builds, and why: first, once it is known, for all images."""
        if not self._told:
            self._told = True
            self.reporter.message("info", self.backend().line)

    def _stop(self) -> None:
        if self.backend.opened is not None:
            self.backend.opened.stop()

    def _plan(self, prepared: PreparedImage, platform: Platform) -> PlannedImage:
        return plan_image(
            prepared,
            platform,
            self.built,
            project=self.project.config.meta.project,
            base=self.bases,
            base_digest=self.bases.digest,
            memo=self._remembered,
            version=self.project.options.staged_version,
        )

    def _missing(self, prepared: PreparedImage) -> list[_Work]:
        """What has to be made of an image; nothing when all of it is published: then it counts as built."""
        began = time.monotonic()
        plans = [(platform, self._plan(prepared, platform)) for platform in prepared.platforms]
        if prepared.image.staged:
            return self._missing_parts(prepared, plans, began)
        platforms = []
        for platform, plan in plans:
            found = self.builder.find(plan.stages)
            if len(found) < len(plan.stages):
                return [_Work(prepared, dict(plans))]
            platforms.append(BuiltPlatform(str(platform), found, plan.stages[-1].content_digest))
        self._found(prepared, platforms, began)
        return []

    def _missing_parts(
        self, prepared: PreparedImage, plans: Sequence[tuple[Platform, PlannedImage]], began: float
    ) -> list[_Work]:
        """As `_missing`, of a staged image: one thing to be made for each stage of the Dockerfile."""
        from pywerf.build.project.staged_parts import check_lines, look_for_parts

        for _, plan in plans:
            self._check_introspected(prepared, plan)
        works: dict[int, _Work] = {}
        others: dict[int, list[BuiltPlatform]] = {}
        parts = self.parts[prepared.image.name] = {}
        for platform, plan in plans:
            assert plan.staged is not None
            needed = look_for_parts(plan.staged, plan, platform, self.builder.find)
            parts[platform] = dict(needed.found)
            for number, found in needed.found.items():
                others.setdefault(number, []).append(found)
            for number, level in needed.missing.items():
                work = works.get(number) or _Work(prepared, part=number, name=plan.staged.shown(number))
                tasks = {**work.tasks, platform: plan}
                works[number] = replace(work, tasks=tasks, level=max(work.level, level))
        plan = plans[0][1]
        assert plan.staged is not None
        target = plan.staged.target
        if not works:
            self._found(prepared, others[target], began)
            return []
        for number in sorted(others.keys() - {target}):
            name = plan.staged.shown(number)
            block = self._block(prepared, live=True, part=name)
            self._tell_found(prepared, others[number], block, name)
            block.close()
        if not self.options.check_built:
            args = [prepared.build_args(self.built, platform) for platform in prepared.platforms]
            for line in check_lines(prepared.dockerfile, args, prepared.image.target, prepared.platforms):
                self.reporter.message("warning", line)
        return list(works.values())

    def _check_introspected(self, prepared: PreparedImage, plan: PlannedImage) -> None:
        """See that the stages after which shells are wanted are there, once it is known which there are."""
        assert plan.staged is not None
        name = prepared.image.name
        self.introspected.check_stages(name, [stage.name for stage in plan.stages])
        for part in plan.staged.parts.values():
            names = [one.step.name for one in part.stages]
            self.introspected.check_stages(f"{name}/{part.name}", names)

    def _found(self, prepared: PreparedImage, platforms: Sequence[BuiltPlatform], began: float) -> None:
        """Count an image as built."""
        block = self._block(prepared, live=True)
        self._tell_found(prepared, platforms, block)
        image = finish(_built_image(prepared, platforms), self.repos, block)
        block.close()
        self.built[image.name] = _timed(image, began)

    def _tell_found(
        self, prepared: PreparedImage, platforms: Sequence[BuiltPlatform], block: ImageBlock, part: str = ""
    ) -> None:
        for one in platforms:
            for number, stage in enumerate(one.stages):
                block.line(found_line(f"{_shown(prepared, part)}/{stage.name}", stage))
                before = one.stages[number - 1].description if number else None
                shown = one.platform if _is_told(prepared, one.platform) else ""
                block.lines(stage_lines(stage.description, before, platform=shown))
                self.builder.introspect(prepared, _shown(prepared, part), Platform.parse(one.platform), stage)

    def _make_all(self, works: Sequence[_Work], workers: int) -> None:
        """Make what is missing of the images of a set: first what needs nothing else of it."""
        if not self.options.check_built:
            self.backend()  # while this is the only thread
            self._tell_backend()
        for level in sorted({work.level for work in works}):
            some = [work for work in works if work.level == level]
            live = workers == 1 or len(some) == 1 or isinstance(self.reporter, BlockReporter)
            make = partial(self._make, live=live)
            if isinstance(self.reporter, BlockReporter):
                make = partial(_in_block, self.reporter, make)
            for done in _run_all(make, some, workers, self._stop):
                if done is not None:
                    self.built[done.name] = done

    def _make(self, work: _Work, *, live: bool) -> BuiltImage | None:
        """The image; None for a stage of the Dockerfile that is not the image itself."""
        began = time.monotonic()
        prepared = work.prepared
        block = self._block(prepared, live=live, part=work.name)
        failed = True
        try:
            platforms = [self._make_one(work, platform, block) for platform in prepared.platforms]
            made = [one for one in platforms if one is not None]
            image = None if work.name else finish(_built_image(prepared, made), self.repos, block)
            failed = False
        finally:
            block.close(failed=failed)
        return image if image is None else _timed(image, began)

    def _make_one(self, work: _Work, platform: Platform, block: ImageBlock) -> BuiltPlatform | None:
        """The image, or a stage of its Dockerfile, for a platform; None: nobody needs that one for it."""
        prepared, plan = work.prepared, work.tasks.get(platform)
        known = self.parts.get(prepared.image.name, {}).get(platform, {})
        if plan is None:
            return known.get(work.part)
        shown = _shown(prepared, work.name)
        if plan.staged is None:
            return self.builder.make(ImageTask(prepared, platform, shown, self.built), plan.stages, block)
        base = plan.staged.parts[work.part].base_part
        task = ImageTask(
            prepared,
            platform,
            shown,
            self.built,
            staged=plan.staged,
            parts=known,
            before=None if base is None else known[base].last,
        )
        stages = planned_part(plan.staged, work.part) if work.name else plan.stages
        made = known[work.part] = self.builder.make(task, stages, block)
        return made

    def _block(self, prepared: PreparedImage, *, live: bool, part: str = "") -> ImageBlock:
        title = self.titles[prepared.image.name] + (f"/{part}" if part else "")
        if len(prepared.platforms) > 1:
            title += f" [{', '.join(map(str, prepared.platforms))}]"
        options = self.options
        return ImageBlock(self.reporter, title, live=live, pretty=options.pretty, width=options.width)

    def _remembered(self, key: str, make: Callable[[], str]) -> str:
        kept = self.contexts.get(key)
        if kept is not None and len(kept) == 64:
            return kept.decode("ascii", "replace")
        made = make()
        self.contexts.put(key, made.encode())
        return made


def _note_use(stages: Iterable[BuiltStage], home: str) -> None:
    """Let cleanups of this machine know that all stages were of use, those too that were only found."""
    used = LastUse(home)
    for id in {str(stage.description.image_id) for stage in stages}:
        used.note(id)


def _in_block(reporter: BlockReporter, make: Callable[[_Work], BuiltImage | None], work: _Work) -> BuiltImage | None:
    with reporter.block():
        return make(work)


def _built_image(prepared: PreparedImage, platforms: Sequence[BuiltPlatform]) -> BuiltImage:
    image = prepared.image
    kind: Literal["dockerfile", "staged"] = "staged" if image.staged else "dockerfile"
    return BuiltImage(image.name, tuple(platforms), kind=kind, final=image.final)


def _shown(prepared: PreparedImage, part: str) -> str:
    """What output calls an image, or a stage of its Dockerfile."""
    return f"{prepared.shown}/{part}" if part else prepared.shown


def _is_told(prepared: PreparedImage, platform: str) -> bool:
    return len(prepared.platforms) > 1 or platform != str(host_platform())


def _timed(image: BuiltImage, began: float) -> BuiltImage:
    return replace(image, seconds=time.monotonic() - began)


def _workers(options: ImageBuildOptions, widest: int) -> int:
    if not options.parallel:
        return 1
    return widest if options.limit <= 0 else min(options.limit, widest)


def _run_all(
    make: Callable[[_Work], BuiltImage | None],
    works: Sequence[_Work],
    workers: int,
    stop: Callable[[], None],
) -> list[BuiltImage | None]:
    """Make all, some at once; the first error, or an interrupt, stops the others, and is raised.

    A stage that was lost stops nobody: the build begins anew, and what the others come to is found then.
    """
    if workers == 1 or len(works) == 1:
        return [make(work) for work in works]
    from concurrent.futures import ThreadPoolExecutor

    stopped = threading.Event()
    errors: list[BaseException] = []  # in the order of time: what was stopped comes after what stopped it

    def run(work: _Work) -> BuiltImage | None:
        if stopped.is_set():
            raise BuildStopped
        try:
            return make(work)
        except BaseException as error:
            errors.append(error)
            stopped.set()
            if not isinstance(error, StageLost):
                stop()
            raise

    with ThreadPoolExecutor(workers, "image") as pool:
        try:
            futures = [pool.submit(run, work) for work in works]
            for future in futures:
                future.exception()
        except BaseException:
            stopped.set()
            stop()
            raise
    if errors:
        raise errors[0]
    return [future.result() for future in futures]
