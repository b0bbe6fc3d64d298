"""What the commands that delete in repositories share: their flags, the opened repositories, what they print."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from pywerf.cli.declare import WHOLE, flag, switch
from pywerf.cli.repo_flags import registry_access, registry_options, repo_options
from pywerf.cli.vendor_flags import registry_kinds, vendor_access, vendor_secrets
from pywerf.errors import UsageError

if TYPE_CHECKING:
    from pywerf.build.cleanup.plan import CleanupPlan, Item
    from pywerf.build.project.repos import Repos
    from pywerf.build.project.storage.registry import RegistryStageStorage
    from pywerf.cli.invocation import Invocation
    from pywerf.report.events import Reporter

__all__ = ["Repositories", "deletion_flags", "jobs", "need_repo", "open_repositories", "print_plan", "report_path"]

F = TypeVar("F", bound=Callable[..., Any])

_FLAGS = (
    switch("--dry-run", help="Tell what would be deleted, and delete nothing."),
    switch("--parallel", "-p", default=True, help="Several requests at the same time (true by default)."),
    flag("--parallel-tasks-limit", type=WHOLE, default=10, metavar="N", help="How many (0: no limit)."),
    switch("--save-cleanup-report", help="Write what stays and what went to a file."),
    flag(
        "--cleanup-report-path",
        default=".werf-cleanup-report.json",
        metavar="FILE",
        help="That file (.werf-cleanup-report.json).",
    ),
)

_WHAT = {
    "stage": "stage",
    "finalStage": "stage of the final repo",
    "customTag": "custom tag",
    "rejectedStage": "rejected stage",
    "rejectedStageMarker": "mark of a rejected stage",
    "imageMetadata": "record of a commit",
    "managedImage": "record of an image",
    "importMetadata": "record of an import",
    "record": "other record",
}


_KINDS = {"stage": "stage", "finalStage": "stage", "rejectedStage": "stage", "customTag": "custom tag"}
"""What is counted as what; anything else is a record."""


class Repositories(msgspec.Struct, frozen=True):
    """The opened ones. `repos` has the locks."""

    repo: RegistryStageStorage
    final: RegistryStageStorage | None
    repos: Repos

    @contextmanager
    def locked(self, *, dry_run: bool) -> Iterator[None]:
        """Keep out others who delete. A dry run needs to keep out nobody, and writes nothing, not even a client id."""
        if dry_run:
            yield
            return
        with self.repos.alone("cleanup"):
            yield


def deletion_flags(function: F) -> F:
    """`--dry-run`, `--parallel*` and the flags of the report."""
    for one in reversed(_FLAGS):
        function = one(function)
    return function


def need_repo(flags: Mapping[str, Any], what: str) -> None:
    """Raise UsageError without `--repo`."""
    if flags["repo"] in ("", ":local"):
        raise UsageError(f"{what} needs --repo: it is about a repository", hint="werf host cleanup is for this machine")


def jobs(flags: Mapping[str, Any]) -> int:
    """How many requests are made at the same time; 0: no limit."""
    return max(0, flags["parallel_tasks_limit"]) if flags["parallel"] else 1


def report_path(flags: Mapping[str, Any]) -> str:
    """Where the report is to be written; empty: nowhere."""
    return flags["cleanup_report_path"] if flags["save_cleanup_report"] else ""


@contextmanager
def open_repositories(
    run: Invocation, flags: Mapping[str, Any], project: str, reporter: Reporter
) -> Iterator[Repositories]:
    """The repositories of a project that flags name. Raises UsageError."""
    from pywerf.build.project.repos import Repos
    from pywerf.build.project.storage.open import open_registry_storage

    options = repo_options(flags)
    run.secrets.extend(vendor_secrets(flags))
    kind, final_kind = registry_kinds(flags)
    access = registry_access(registry_options(flags))
    try:
        repo = open_registry_storage(options.repo, access, home=options.home, kind=kind, vendor=vendor_access(flags))
        final = None
        if options.final_repo:
            final = open_registry_storage(
                options.final_repo,
                access,
                home=options.home,
                flag="--final-repo",
                kind=final_kind,
                vendor=vendor_access(flags, "final_repo"),
            )
        with Repos(
            repo, project=project, options=options, access=lambda: access, reporter=reporter, final=final
        ) as repos:
            yield Repositories(repo, final, repos)
    finally:
        access.close()


def print_plan(plan: CleanupPlan, *, dry_run: bool, verbose: bool) -> None:
    """What went (or would go), a line each, and how much stays why."""
    verb = "would delete" if dry_run else "deleted"
    for item in plan.deleted:
        print(f"{verb} {_WHAT[item.type]}: {_shown(item)}")
    if verbose:
        for item in plan.kept:
            print(f"kept {_WHAT[item.type]}: {_shown(item)} ({item.reason})")
    reasons = Counter(item.reason for item in plan.kept if item.type == "stage")
    why = ", ".join(f"{reason}: {count}" for reason, count in reasons.most_common())
    print(f"{_counted(plan.kept)} kept{f' ({why})' if why else ''}")
    print(f"{_counted(plan.deleted)} {'would be deleted' if dry_run else 'deleted'}")


def _shown(item: Item) -> str:
    if item.type == "imageMetadata":
        return f"image {item.image or '~'}, commit {item.commit[:12]}, stage {item.stage}"
    if item.type == "managedImage":
        return item.image or "~"
    return item.tag


def _counted(items: tuple[Item, ...]) -> str:
    counts = Counter(_KINDS.get(item.type, "record") for item in items)
    return ", ".join(
        f"{counts[kind]} {kind if counts[kind] == 1 else kind + 's'}" for kind in ("stage", "custom tag", "record")
    )
