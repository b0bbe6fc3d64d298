"""The git history policy: which stages the branches and tags of a project still need. Pure: nothing is read or done.

References are selected by policies; for each reference and image, the stages that were built on its history are
taken by the newest commit that they were built for, and the newest of those commits are kept.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

import msgspec

from pywerf.config.werf_yaml.model import KeepLimit, KeepPolicy
from pywerf.source.git_history import GitReference

__all__ = ["DEFAULT_POLICIES", "Commits", "Selected", "StageCommits", "kept_by_history", "select_references"]

WEEK = 168 * 3600.0

DEFAULT_POLICIES = (
    KeepPolicy(tag="/.*/", limit=KeepLimit(last=10)),
    KeepPolicy(
        branch="/.*/",
        limit=KeepLimit(last=10, within=WEEK),
        images=KeepLimit(last=2, within=WEEK),
    ),
    KeepPolicy(branch="/(main|master|staging|production)/", images=KeepLimit(last=10)),
)
"""What is kept when werf.yaml has no `cleanup.keepPolicies`."""

_LAST_IMAGE = KeepLimit(last=1)  # a policy without imagesPerReference

StageCommits = Mapping[str, Collection[str]]
"""The stages of an image, by their ids, with the commits that they were built for."""


class Commits(Protocol):
    """The commits of a repository (source.git_history.GitHistory)."""

    def walk(self, heads: Iterable[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
        """The heads and all behind them, with their parents; a commit comes before every parent of it."""

    def time(self, commit: str) -> int | None:
        """Seconds since 1970; None for a commit that is not there."""


class Selected(msgspec.Struct, frozen=True):
    """A reference that is looked at, and how many of its images stay."""

    reference: GitReference
    images: KeepLimit = _LAST_IMAGE


def select_references(
    references: Sequence[GitReference], policies: Sequence[KeepPolicy], now: float
) -> tuple[Selected, ...]:
    """The references that any policy selects, in their order; the last policy of each says how many images stay."""
    images: dict[GitReference, KeepLimit] = {}
    for policy in policies:
        for reference in _limited(_named(references, policy), policy.limit, now):
            images[reference] = policy.images or _LAST_IMAGE
    return tuple(Selected(reference, images[reference]) for reference in references if reference in images)


def kept_by_history(
    selected: Sequence[Selected], images: Mapping[str, StageCommits], commits: Commits, now: float
) -> dict[str, dict[str, frozenset[str]]]:
    """For each image the stages that stay, with the commits (newest of a reference) for which they stay."""
    known = {commit for stages in images.values() for built in stages.values() for commit in built}
    places = _places(selected, commits, known)
    times = {commit: commits.time(commit) or 0 for commit in places}
    order = {commit: number for number, commit in enumerate(places)}  # a child comes before its parents
    kept: dict[str, dict[str, set[str]]] = {image: {} for image in images}
    for number, one in enumerate(selected):
        for image, stages in images.items():
            newest: dict[str, list[str]] = {}
            for stage, built in stages.items():
                reached = [commit for commit in built if places.get(commit, 0) >> number & 1]
                if reached:
                    best = min(reached, key=lambda commit: (-times[commit], order[commit]))
                    newest.setdefault(best, []).append(stage)
            for commit in _newest(newest, times, order, one.images, now):
                for stage in newest[commit]:
                    kept[image].setdefault(stage, set()).add(commit)
    return {image: {stage: frozenset(found) for stage, found in stages.items()} for image, stages in kept.items()}


def _named(references: Sequence[GitReference], policy: KeepPolicy) -> list[GitReference]:
    kind, pattern = ("branch", policy.branch) if policy.branch else ("tag", policy.tag)
    if len(pattern) > 1 and pattern.startswith("/") and pattern.endswith("/"):
        from pywerf.config.template.sprig.regexes import compiled

        matches = compiled(f"(?:{pattern[1:-1]})").fullmatch
        return [one for one in references if one.kind == kind and matches(one.name)]
    return [one for one in references if one.kind == kind and one.name == pattern]


def _limited(references: Sequence[GitReference], limit: KeepLimit | None, now: float) -> list[GitReference]:
    if limit is None:
        return list(references)
    newest = sorted(references, key=lambda one: (-one.time, one.name))
    return [
        one
        for number, one in enumerate(newest)
        if _within(limit, number, None if limit.within is None else now - one.time < limit.within)
    ]


def _newest(
    found: Collection[str], times: Mapping[str, int], order: Mapping[str, int], limit: KeepLimit, now: float
) -> list[str]:
    newest = sorted(found, key=lambda commit: (-times[commit], order[commit]))
    return [
        commit
        for number, commit in enumerate(newest)
        if _within(limit, number, None if limit.within is None else now - times[commit] < limit.within)
    ]


def _within(limit: KeepLimit, number: int, young: bool | None) -> bool:
    """Whether the thing at place `number`, the newest at 0, stays. A limit that is not given limits nothing.

    `imagesPerReference` with `in` alone is meant to keep all of that time, so its `last` is not 1 then.
    """
    if limit.last is None:
        return young is not False
    early = limit.last < 0 or number < limit.last
    if young is None:
        return early
    return early and young if limit.operator == "And" else early or young


def _places(selected: Sequence[Selected], commits: Commits, known: Collection[str]) -> dict[str, int]:
    """From which references each known commit is seen, as bits by their numbers, in the order of the walk.

    One walk for all of them: what a commit is seen from, its parents are. Of a tag only its commit is seen.
    """
    seen: dict[str, int] = {}
    tagged: dict[str, int] = {}
    for number, one in enumerate(selected):
        bits = seen if one.reference.kind == "branch" else tagged
        bits[one.reference.commit] = bits.get(one.reference.commit, 0) | 1 << number
    places: dict[str, int] = {}
    for commit, parents in commits.walk([*seen, *tagged]):
        own = seen.pop(commit, 0)
        if commit in known:
            place = own | tagged.get(commit, 0)
            if place:
                places[commit] = place
        if own:
            for parent in parents:
                seen[parent] = seen.get(parent, 0) | own
    return places
