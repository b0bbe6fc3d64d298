"""What the git history of a project says about its stages; origin's references are fetched, if that is allowed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from pywerf.build.cleanup.git_policy import DEFAULT_POLICIES, kept_by_history, select_references
from pywerf.build.project.storage.records import image_hash
from pywerf.config.werf_yaml.model import GitWorktree, shown_name
from pywerf.errors import GitError
from pywerf.source.git_history import TAGS, GitHistory
from pywerf.source.git_origin import ORIGIN_TAGS, fetch_origin, has_origin, is_shallow

if TYPE_CHECKING:
    from pywerf.build.cleanup.survey import Survey
    from pywerf.build.project.project import Project
    from pywerf.util.events import Reporter

__all__ = ["needed_by_history", "open_history"]


def open_history(project: Project, reporter: Reporter) -> GitHistory:
    """The history with what `origin` has now: fetched as far as `gitWorktree` of werf.yaml allows. Raises GitError."""
    import pygit2

    rules = project.config.meta.git_worktree
    repo = project.git.repo
    if not has_origin(repo):
        raise GitError(
            f"{project.git.root} has no remote called origin: its branches say which stages are still needed",
            hint="git remote add origin URL, or switch the policy off (cleanup.disableGitHistoryBasedPolicy: true)",
        )
    fetched = _must_fetch(rules, shallow=is_shallow(repo), root=project.git.root)
    if fetched:
        reporter.message("info", "fetching branches and tags of origin")
        fetch_origin(repo, whole=not rules.force_shallow_clone)
        repo = pygit2.Repository(project.git.root)  # where history ends is read when it is opened
    history = GitHistory(repo, ORIGIN_TAGS if fetched else TAGS)
    if not any(reference.kind == "branch" for reference in history.references()):
        raise GitError(
            "no branch of origin is known: every stage would seem to be unneeded",
            hint="git fetch origin; a clone of one commit or tag has no branches",
        )
    return history


def needed_by_history(
    history: GitHistory, project: Project, survey: Survey, now: float, reporter: Reporter
) -> dict[str, dict[str, frozenset[str]]]:
    """For each image (of werf.yaml, or managed) the stages that the policies keep, with the commits they stay for."""
    policies = project.config.meta.cleanup.keep_policies or DEFAULT_POLICIES
    selected = select_references(history.references(), policies, now)
    for one in selected:
        reporter.message("debug", f"{one.reference.kind} {one.reference.name} is looked at")
    images = _images(project, survey)
    kept = kept_by_history(selected, _stage_commits(images, survey), history, now)
    branches = sum(one.reference.kind == "branch" for one in selected)
    reporter.message(
        "info",
        f"git policy: {_count(branches, 'branch', 'branches')}, {_count(len(selected) - branches, 'tag', 'tags')}",
    )
    for image, stages in kept.items():
        reporter.message("debug", f"image {shown_name(image)}: {_count(len(stages), 'stage', 'stages')} needed")
    return kept


def _must_fetch(rules: GitWorktree, *, shallow: bool, root: str) -> bool:
    """Whether origin is asked. Raises GitError for a shallow clone that must stay one."""
    if shallow and not rules.force_shallow_clone and not rules.allow_unshallow:
        raise GitError(
            f"{root} is a shallow clone: what is needed cannot be told from a part of the history",
            hint="git fetch --unshallow, or gitWorktree.allowUnshallow: true in werf.yaml "
            "(gitWorktree.forceShallowClone: true takes it as it is)",
        )
    return rules.allow_fetch_origin_branches_and_tags or (shallow and not rules.force_shallow_clone)


def _images(project: Project, survey: Survey) -> Collection[str]:
    managed = {record.name for record in survey.managed.values()}
    return sorted({image.name for image in project.config.images} | managed)


def _stage_commits(images: Collection[str], survey: Survey) -> Mapping[str, Mapping[str, list[str]]]:
    """For each image its stages that are there, with the commits that they were built for."""
    names = {image_hash(name): name for name in images}
    found: dict[str, dict[str, list[str]]] = {name: {} for name in images}
    for record in survey.metadata.values():
        name = names.get(record.hash)
        if name is not None and record.stage in survey.stages:
            found[name].setdefault(str(record.stage), []).append(record.commit)
    return found


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
