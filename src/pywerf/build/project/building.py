"""Builds the images of a project: looks for what is published, then makes what is missing, set by set.

    with Repos.open(…) as repos, LazyBackend(…) as backend:
        for image in build_project(project, backend, repos, names, options, reporter): …     # results.BuiltImage

The parts: image_plan.py (what an image is made from, and its digests), choosing.py (which stage is taken, how one is
published), image_build.py (making one image), after_build.py (indexes, copies, tags, records), image_output.py.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from pywerf.build.last_use import LastUse
from pywerf.build.project.after_build import add_custom_tags, commits_of, finish, warn_of_many_tags, write_records
from pywerf.build.project.base_configs import BaseConfigs
from pywerf.build.project.custom_tags import check_custom_tags
from pywerf.build.project.image_build import ImageBuilder, StageLost
from pywerf.build.project.image_output import ImageBlock, found_line, stage_lines, summary_lines, tell_plan
from pywerf.build.project.image_plan import PlannedStage, PreparedImage, plan_stages, prepare, stage_names
from pywerf.build.project.introspection import WantedStages
from pywerf.build.project.memo import FileMemo
from pywerf.build.project.results import BuiltImage, BuiltPlatform
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
            missing = [name for name in each if not self._find(prepared[name])]
            if not missing:
                continue
            if not self.options.check_built:
                self.backend()  # while this is the only thread
                self._tell_backend()
            live = workers == 1 or len(missing) == 1 or isinstance(self.reporter, BlockReporter)
            make = partial(self._make, live=live)
            if isinstance(self.reporter, BlockReporter):
                make = partial(_in_block, self.reporter, make)
            for done in _run_all(make, [prepared[name] for name in missing], workers, self._stop):
                self.built[done.name] = done
        found = [self.built[image.name] for image in self.project.config.images if image.name in self.built]
        chosen = set(names)
        tagged = add_custom_tags(
            [image for image in found if image.name in chosen], self.options.custom_tags, self.repos
        )
        by_name = {image.name: image for image in (*found, *tagged)}
        found = [by_name[image.name] for image in found]
        write_records(found, self.project, self.repos, self.reporter)
        _note_use(found, self.repos.options.home)
        if any(image.rebuilt for image in found):
            warn_of_many_tags(self.repos, self.reporter)
        if len(found) > 1:
            for line in summary_lines(found):
                self.reporter.message("info", line)
        return found

    def _tell_backend(self) -> None:
        """Say what builds, and why: first, once it is known, for all images."""
        if not self._told:
            self._told = True
            self.reporter.message("info", self.backend().line)

    def _stop(self) -> None:
        if self.backend.opened is not None:
            self.backend.opened.stop()

    def _plan(self, prepared: PreparedImage, platform: Platform) -> tuple[PlannedStage, ...]:
        return plan_stages(
            prepared,
            platform,
            self.built,
            project=self.project.config.meta.project,
            base=self.bases,
            memo=self._remembered,
        )

    def _find(self, prepared: PreparedImage) -> bool:
        """Whether all of an image is published; then it counts as built."""
        began = time.monotonic()
        platforms = []
        for platform in prepared.platforms:
            stages = self._plan(prepared, platform)
            found = self.builder.find(stages)
            if found is None:
                return False
            platforms.append(BuiltPlatform(str(platform), found, stages[-1].content_digest))
        block = self._block(prepared, live=True)
        for one in platforms:
            for number, stage in enumerate(one.stages):
                block.line(found_line(f"{prepared.shown}/{stage.name}", stage))
                before = one.stages[number - 1].description if number else None
                shown = one.platform if _is_told(prepared, one.platform) else ""
                block.lines(stage_lines(stage.description, before, platform=shown))
                self.builder.introspect(prepared, Platform.parse(one.platform), stage)
        image = BuiltImage(prepared.image.name, tuple(platforms), final=prepared.image.final)
        image = finish(image, self.repos, block)
        block.close()
        self.built[image.name] = _timed(image, began)
        return True

    def _make(self, prepared: PreparedImage, *, live: bool) -> BuiltImage:
        began = time.monotonic()
        platforms = []
        block = self._block(prepared, live=live)
        failed = True
        try:
            for platform in prepared.platforms:
                stages = self._plan(prepared, platform)
                platforms.append(self.builder.make(prepared, platform, stages, self.built, block))
            image = BuiltImage(prepared.image.name, tuple(platforms), final=prepared.image.final)
            image = finish(image, self.repos, block)
            failed = False
        finally:
            block.close(failed=failed)
        return _timed(image, began)

    def _block(self, prepared: PreparedImage, *, live: bool) -> ImageBlock:
        title = self.titles[prepared.image.name]
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


def _note_use(images: Sequence[BuiltImage], home: str) -> None:
    """Let cleanups of this machine know that all stages were of use, those too that were only found."""
    used = LastUse(home)
    for id in {str(stage.description.image_id) for image in images for one in image.platforms for stage in one.stages}:
        used.note(id)


def _in_block(
    reporter: BlockReporter, work: Callable[[PreparedImage], BuiltImage], prepared: PreparedImage
) -> BuiltImage:
    with reporter.block():
        return work(prepared)


def _is_told(prepared: PreparedImage, platform: str) -> bool:
    return len(prepared.platforms) > 1 or platform != str(host_platform())


def _timed(image: BuiltImage, began: float) -> BuiltImage:
    from msgspec.structs import replace

    return replace(image, seconds=time.monotonic() - began)


def _workers(options: ImageBuildOptions, widest: int) -> int:
    if not options.parallel:
        return 1
    return widest if options.limit <= 0 else min(options.limit, widest)


def _run_all(
    work: Callable[[PreparedImage], BuiltImage],
    images: Sequence[PreparedImage],
    workers: int,
    stop: Callable[[], None],
) -> list[BuiltImage]:
    """The work for all images, some at once; the first error, or an interrupt, stops the others, and is raised.

    A stage that was lost stops nobody: the build begins anew, and what the others come to is found then.
    """
    if workers == 1 or len(images) == 1:
        return [work(image) for image in images]
    from concurrent.futures import ThreadPoolExecutor

    stopped = threading.Event()
    errors: list[BaseException] = []  # in the order of time: what was stopped comes after what stopped it

    def run(image: PreparedImage) -> BuiltImage:
        if stopped.is_set():
            raise BuildStopped
        try:
            return work(image)
        except BaseException as error:
            errors.append(error)
            stopped.set()
            if not isinstance(error, StageLost):
                stop()
            raise

    with ThreadPoolExecutor(workers, "image") as pool:
        try:
            futures = [pool.submit(run, image) for image in images]
            for future in futures:
                future.exception()
        except BaseException:
            stopped.set()
            stop()
            raise
    if errors:
        raise errors[0]
    return [future.result() for future in futures]
