"""Runs a cleanup or a purge: looks, decides, deletes, writes down what was done."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

import msgspec

from pywerf.build.cleanup.plan import CleanupPlan, Item, Needs, plan_cleanup, plan_purge, plan_records
from pywerf.build.cleanup.removal import Removal, plan_removals, remove
from pywerf.build.cleanup.report import ReportFile, report_document
from pywerf.build.cleanup.survey import Survey, survey
from pywerf.build.project.storage.model import StageId
from pywerf.build.project.storage.records import note_cleanup
from pywerf.errors import UsageError

if TYPE_CHECKING:
    from pywerf.build.project.project import Project
    from pywerf.build.project.storage.registry import RegistryStageStorage
    from pywerf.util.events import Reporter

__all__ = ["CleanupOptions", "clean_up", "purge"]

_MAX_LOOKS = 5
_NO_LIMIT = 64  # more connections than a registry likes


class CleanupOptions(msgspec.Struct, frozen=True):
    """What the command line says. `hours` None: as werf.yaml has it. `keep_list` are tags. `report` empty: none.

    `without_kube`: no cluster is asked what it runs. `jobs`: requests at the same time (0: no limit).
    """

    dry_run: bool = False
    jobs: int = 10
    hours: float | None = None
    keep_list: tuple[str, ...] = ()
    without_kube: bool = False
    report: str = ""


class Places(msgspec.Struct, frozen=True):
    """The repository and the final one."""

    repo: RegistryStageStorage
    final: RegistryStageStorage | None = None

    def each(self) -> Sequence[tuple[bool, RegistryStageStorage]]:
        """Whether it is the final one, and the repository; in the order in which they are cleaned.

        The final one goes first: what is in it is known by what the other one has.
        """
        return ((False, self.repo),) if self.final is None else ((True, self.final), (False, self.repo))


def clean_up(
    project: Project,
    repo: RegistryStageStorage,
    final: RegistryStageStorage | None,
    options: CleanupOptions,
    reporter: Reporter,
) -> CleanupPlan:
    """Delete what the project does not need of its repository; what stays, and what went (`dry_run`: would go).

    The caller holds the lock that keeps other cleanups out. Raises WerfError of many kinds; nothing was deleted then,
    unless it is a RegistryError, and the report tells what.
    """
    rules = project.config.meta.cleanup
    if not rules.disable and not rules.disable_kubernetes_based_policy and not options.without_kube:
        raise UsageError(
            "clusters cannot be asked which images they run: there is no Kubernetes client here yet",
            hint="--without-kube, or cleanup.disableKubernetesBasedPolicy: true in werf.yaml; "
            "--keep-list FILE keeps what runs",
        )
    run = _Run("cleanup", Places(repo, final), options, reporter)

    def decide(now: float) -> CleanupPlan:
        seen = run.look(project.config.meta.project)
        if rules.disable:
            return plan_records(seen[0])
        history = None
        if not rules.disable_git_history_based_policy:
            from pywerf.build.cleanup.history import needed_by_history, open_history

            # the repository was looked at before: what was built since for commits that are newer is not in it
            history = needed_by_history(open_history(project, reporter), project, seen[0], now, reporter)
        hours = rules.keep_images_built_within_last_n_hours if options.hours is None else options.hours
        needs = Needs(
            images=[image.name for image in project.config.images],
            history=history,
            keep_list=options.keep_list,
            hours=0 if rules.disable_built_within_last_n_hours_policy else hours,
            now=now,
        )
        return plan_cleanup(*seen, needs)

    done = run.apply(decide)
    if not options.dry_run and not rules.disable:
        note_cleanup(repo.records, int(time.time() * 1000))
    return done


def purge(
    name: str,
    repo: RegistryStageStorage,
    final: RegistryStageStorage | None,
    options: CleanupOptions,
    reporter: Reporter,
) -> CleanupPlan:
    """Delete everything of the project `name` in its repository, and in the final one. As `clean_up` otherwise."""
    run = _Run("purge", Places(repo, final), options, reporter)
    return run.apply(lambda now: plan_purge(*run.look(name)))


class _Run:
    """One command: what it saw last, what it has done."""

    def __init__(self, command: str, places: Places, options: CleanupOptions, reporter: Reporter) -> None:
        self.command = command
        self.places = places
        self.options = options
        self.jobs = options.jobs if options.jobs > 0 else _NO_LIMIT
        self.reporter = reporter
        self.report = ReportFile(options.report) if options.report else None
        for _, storage in places.each():
            storage.repository.deletion  # noqa: B018 # an error before anything is looked at
        self._seen: dict[bool, Survey] = {}
        self._stuck: set[str] = set()  # stages of tags that could not be deleted

    def look(self, project: str) -> tuple[Survey, Survey | None]:
        """The repository and the final one as they are now."""
        for final, storage in self.places.each():
            self.reporter.message("info", f"looking at {storage.address}")
            self._seen[final] = survey(storage, project, jobs=self.jobs)
            foreign = len(self._seen[final].foreign)
            if foreign:
                self.reporter.message(
                    "warning", f"{storage.address}: {foreign} stages of other projects are left alone"
                )
        return self._seen[False], self._seen.get(True)

    def apply(self, decide: Callable[[float], CleanupPlan]) -> CleanupPlan:
        """Decide, and delete. The report is written whatever happens."""
        plan = decide(time.time())
        if self.options.dry_run:
            self._write_report(plan)
            return plan
        for _ in range(_MAX_LOOKS):
            if not self._is_changed():
                break
            self.reporter.message("info", "the repository has changed meanwhile: looking again")
            plan = decide(time.time())
        deleted: list[Item] = []
        try:
            for final, storage in self.places.each():
                self._delete(
                    storage, self._seen[final], [item for item in plan.deleted if item.final is final], deleted
                )
        finally:
            done = CleanupPlan(plan.kept, tuple(sorted(deleted)))
            self._write_report(done)
        return done

    def _is_changed(self) -> bool:
        """Whether there are tags that were not seen: a build may have begun to use what is about to go."""
        return any(
            not self._seen[final].tags.issuperset(storage.records.tags(fresh=True))
            for final, storage in self.places.each()
        )

    def _delete(self, storage: RegistryStageStorage, seen: Survey, items: Sequence[Item], deleted: list[Item]) -> None:
        going = {item.tag for item in items}
        members = {member for stage, one in seen.stages.items() if str(stage) not in going for member in one.members}
        removals = plan_removals(going, seen.digests, seen.pinned | members)
        records = {item.tag: item for item in items if _order(item.tag, item.type) == _RECORD}
        types = {item.tag: item.type for item in items}
        gone: set[str] = set()
        for phase in range(_RECORD + 1):
            now = [one for one in removals if min(_order(tag, types[tag]) for tag in one.tags) == phase]
            if phase == _RECORD:
                # the records of what could not be deleted are needed once more
                self._stuck |= {item.stage for item in items if item.tag not in gone and item.tag not in records}
                now = [one for one in now if not any(records[tag].stage in self._stuck for tag in one.tags)]
            self._remove(storage, now, gone, items, deleted)

    def _remove(
        self,
        storage: RegistryStageStorage,
        removals: Sequence[Removal],
        gone: set[str],
        items: Collection[Item],
        deleted: list[Item],
    ) -> None:
        before = set(gone)
        try:
            remove(
                storage.repository,
                removals,
                jobs=self.jobs,
                warn=lambda text: self.reporter.message("warning", text),
                gone=gone,
            )
        finally:
            deleted += [item for item in items if item.tag in gone and item.tag not in before]

    def _write_report(self, done: CleanupPlan) -> None:
        if self.report is not None:
            final = self.places.final
            self.report.write(
                report_document(
                    self.command,
                    done,
                    dry_run=self.options.dry_run,
                    repo=self.places.repo.address,
                    final_repo="" if final is None else final.address,
                )
            )


_RECORD = 2


def _order(tag: str, kind: str) -> int:
    """When a tag goes: indexes before the images that they are made of, records after what they tell of."""
    if kind in ("stage", "finalStage", "rejectedStage"):
        stage = StageId.parse(tag)
        return 0 if stage is not None and stage.is_index else 1
    return 1 if kind == "customTag" else _RECORD
