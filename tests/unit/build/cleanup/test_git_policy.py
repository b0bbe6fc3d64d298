"""The git history policy, against a plain second implementation and by the examples of its description."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from typing import Any, Literal

from hypothesis import given, settings
from hypothesis import strategies as st

from pywerf.build.cleanup.git_policy import DEFAULT_POLICIES, Selected, kept_by_history, select_references
from pywerf.config.werf_yaml.model import KeepLimit, KeepPolicy
from pywerf.source.git_history import GitReference

HOUR = 3600.0
NOW = 1_000_000.0


class MemoryCommits:
    """A history of commits by number: `c3` may have the parents `c0` to `c2`."""

    def __init__(self, parents: dict[str, tuple[str, ...]], times: dict[str, int]) -> None:
        self.parents = parents
        self.times = times

    def walk(self, heads: Iterable[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
        reached = set()
        todo = list(heads)
        while todo:
            commit = todo.pop()
            reached.add(commit)
            todo += self.parents[commit]
        for commit in sorted(reached, key=lambda name: -int(name[1:])):
            yield commit, self.parents[commit]

    def time(self, commit: str) -> int | None:
        return self.times.get(commit)


def line(*ages_in_hours: float) -> MemoryCommits:
    """c0 <- c1 <- c2 …, each so many hours old."""
    parents = {f"c{number}": (f"c{number - 1}",) if number else () for number in range(len(ages_in_hours))}
    times = {f"c{number}": int(NOW - age * HOUR) for number, age in enumerate(ages_in_hours)}
    return MemoryCommits(parents, times)


def branch(name: str, commit: str = "c0", age: float = 0) -> GitReference:
    return GitReference("branch", name, commit, int(NOW - age * HOUR))


def tag(name: str, commit: str = "c0", age: float = 0) -> GitReference:
    return GitReference("tag", name, commit, int(NOW - age * HOUR))


def names(selected: Iterable[Selected]) -> list[str]:
    return [one.reference.name for one in selected]


# which references


def test_a_name_is_meant_wholly_and_so_is_a_regular_expression() -> None:
    references = [branch("main"), branch("main2"), branch("feature/main"), tag("main"), branch("a+b")]
    assert names(select_references(references, [KeepPolicy(branch="main")], NOW)) == ["main"]
    assert names(select_references(references, [KeepPolicy(branch="/main/")], NOW)) == ["main"]
    assert names(select_references(references, [KeepPolicy(branch="/main|a/")], NOW)) == ["main"]
    assert names(select_references(references, [KeepPolicy(branch="/.*main.*/")], NOW)) == [
        "main",
        "main2",
        "feature/main",
    ]
    assert names(select_references(references, [KeepPolicy(branch="a+b")], NOW)) == ["a+b"]
    assert [one.reference.kind for one in select_references(references, [KeepPolicy(tag="/.*/")], NOW)] == ["tag"]


def test_limits_of_references() -> None:
    references = [branch("old", age=50), branch("new", age=1), branch("middle", age=10)]

    def chosen(limit: KeepLimit | None) -> list[str]:
        return names(select_references(references, [KeepPolicy(branch="/.*/", limit=limit)], NOW))

    assert chosen(None) == chosen(KeepLimit(last=-1)) == ["old", "new", "middle"]
    assert chosen(KeepLimit(last=2)) == ["new", "middle"]
    assert chosen(KeepLimit(last=0)) == []
    assert chosen(KeepLimit(within=20 * HOUR)) == ["new", "middle"]
    assert chosen(KeepLimit(last=1, within=20 * HOUR)) == ["new"]
    assert chosen(KeepLimit(last=3, within=20 * HOUR)) == ["new", "middle"]
    assert chosen(KeepLimit(last=1, within=20 * HOUR, operator="Or")) == ["new", "middle"]
    assert chosen(KeepLimit(last=-1, within=20 * HOUR)) == ["new", "middle"]


def test_policies_are_united_and_the_last_one_says_how_many_images() -> None:
    many, few = KeepLimit(last=7), KeepLimit(last=2)
    references = [branch("main"), branch("other"), tag("v1")]
    policies = [
        KeepPolicy(branch="/.*/", images=few),
        KeepPolicy(tag="/v.*/"),
        KeepPolicy(branch="main", images=many),
    ]
    found = {one.reference.name: one.images for one in select_references(references, policies, NOW)}
    assert found == {"main": many, "other": few, "v1": KeepLimit(last=1)}


def test_the_built_in_policies() -> None:
    references = [tag(f"v{number}", age=number) for number in range(12)]
    references += [branch(f"f{number}", age=number) for number in range(12)]
    references += [branch("main", age=2000), branch("old", age=169)]
    selected = {one.reference: one.images for one in select_references(references, DEFAULT_POLICIES, NOW)}
    assert [one.name for one in selected if one.kind == "tag"] == [f"v{number}" for number in range(10)]
    assert [one.name for one in selected if one.kind == "branch"] == [*(f"f{number}" for number in range(10)), "main"]
    assert selected[branch("main", age=2000)] == KeepLimit(last=10)
    assert selected[branch("f0")] == KeepLimit(last=2, within=168 * HOUR)
    assert selected[tag("v0")] == KeepLimit(last=1)


# which stages


def test_a_stage_stands_for_the_newest_commit_that_it_was_built_for() -> None:
    commits = line(5, 4, 3, 2, 1)
    images = {"app": {"old": ["c0", "c1"], "again": ["c0", "c3"], "middle": ["c2"], "other": ["elsewhere"]}}
    selected = [Selected(branch("main", "c4"), KeepLimit(last=2))]
    assert kept_by_history(selected, images, commits, NOW) == {
        "app": {"again": frozenset(["c3"]), "middle": frozenset(["c2"])}
    }


def test_all_stages_of_one_commit_count_as_one() -> None:
    commits = line(3, 2, 1)
    images = {"app": {"a": ["c2"], "b": ["c2"], "c": ["c1"], "d": ["c0"]}}
    selected = [Selected(branch("main", "c2"), KeepLimit(last=2))]
    assert set(kept_by_history(selected, images, commits, NOW)["app"]) == {"a", "b", "c"}


def test_images_are_counted_each_for_itself() -> None:
    commits = line(3, 2, 1)
    images = {"app": {"a": ["c2"], "b": ["c1"]}, "worker": {"w": ["c0"]}, "none": {}}
    kept = kept_by_history([Selected(branch("main", "c2"))], images, commits, NOW)
    assert {image: set(stages) for image, stages in kept.items()} == {"app": {"a"}, "worker": {"w"}, "none": set()}


def test_limits_of_images() -> None:
    commits = line(40, 30, 20, 10, 1)
    images = {"app": {f"s{number}": [f"c{number}"] for number in range(5)}}

    def kept(limit: KeepLimit) -> list[str]:
        return sorted(kept_by_history([Selected(branch("main", "c4"), limit)], images, commits, NOW)["app"])

    assert kept(KeepLimit(last=1)) == ["s4"]
    assert kept(KeepLimit(last=0)) == []
    assert kept(KeepLimit(last=-1)) == ["s0", "s1", "s2", "s3", "s4"]
    assert kept(KeepLimit(within=25 * HOUR)) == ["s2", "s3", "s4"]
    assert kept(KeepLimit(last=2, within=25 * HOUR)) == ["s3", "s4"]
    assert kept(KeepLimit(last=4, within=25 * HOUR, operator="Or")) == ["s1", "s2", "s3", "s4"]


def test_of_a_tag_only_its_commit_counts() -> None:
    commits = line(3, 2, 1)
    images = {"app": {"a": ["c0"], "b": ["c1"], "c": ["c2"]}}
    kept = kept_by_history([Selected(tag("v1", "c1"), KeepLimit(last=-1))], images, commits, NOW)
    assert set(kept["app"]) == {"b"}
    assert kept_by_history([Selected(tag("v1", "c1"), KeepLimit(last=0))], images, commits, NOW) == {"app": {}}


def test_history_goes_over_all_parents() -> None:
    parents = {"c0": (), "c1": ("c0",), "c2": ("c0",), "c3": ("c1", "c2")}
    commits = MemoryCommits(parents, {"c0": 1, "c1": 5, "c2": 3, "c3": 4})
    images = {"app": {"left": ["c1"], "right": ["c2"], "root": ["c0"]}}
    kept = kept_by_history([Selected(branch("main", "c3"), KeepLimit(last=2))], images, commits, NOW)
    assert set(kept["app"]) == {"left", "right"}


def test_commits_of_one_second_are_as_old_as_their_place_in_history_says() -> None:
    commits = line(1, 1, 1)
    images = {"app": {"a": ["c0"], "b": ["c1"], "c": ["c2"]}}
    assert set(kept_by_history([Selected(branch("main", "c2"))], images, commits, NOW)["app"]) == {"c"}


# against a second implementation


def history_of(seed: int) -> tuple[MemoryCommits, list[GitReference], dict[str, dict[str, list[str]]]]:
    """A random history with references into it and stages that were built on it."""
    chance = random.Random(seed)
    commits = [f"c{number}" for number in range(chance.randint(1, 12))]
    parents = {
        commit: tuple(chance.sample(commits[:number], chance.randint(0, min(number, 3))))
        for number, commit in enumerate(commits)
    }
    hours = chance.sample(range(400), len(commits))
    times = {commit: int(NOW - hour * HOUR) for commit, hour in zip(commits, hours, strict=True)}
    references = []
    kinds: tuple[Literal["branch", "tag"], ...] = ("branch", "tag")
    for kind in kinds:
        for name in chance.sample(["main", "dev", "a", "b", "v1", "v2"], chance.randint(0, 6)):
            commit = chance.choice(commits)
            time = times[commit] if kind == "branch" else int(NOW - chance.randint(0, 400) * HOUR)
            references.append(GitReference(kind, name, commit, time))
    images = {
        image: {
            f"s{number}": chance.sample([*commits, "gone"], chance.randint(0, min(4, len(commits))))
            for number in range(chance.randint(0, 8))
        }
        for image in ("app", "worker")
    }
    return MemoryCommits(parents, times), references, images


LIMITS = st.none() | st.builds(
    KeepLimit,
    last=st.none() | st.integers(-1, 4),
    within=st.none() | st.integers(0, 400).map(lambda hours: hours * HOUR),
    operator=st.sampled_from(["And", "Or"]),
)
POLICIES = st.lists(
    st.tuples(st.booleans(), st.sampled_from(["main", "/.*/", "/a|b/", "/v./", "nothing"]), LIMITS, LIMITS).map(
        lambda one: KeepPolicy(
            branch=one[1] if one[0] else "", tag="" if one[0] else one[1], limit=one[2], images=one[3]
        )
    ),
    max_size=4,
)


def plainly(
    commits: MemoryCommits,
    references: list[GitReference],
    images: dict[str, dict[str, list[str]]],
    policies: list[KeepPolicy],
) -> dict[str, set[str]]:
    """The same by its description, one reference after the other, without any cleverness."""
    limits: dict[GitReference, KeepLimit] = {}
    for policy in policies:
        pattern = policy.branch or policy.tag
        kind = "branch" if policy.branch else "tag"
        wanted = {"main": ["main"], "/.*/": None, "/a|b/": ["a", "b"], "/v./": ["v1", "v2"], "nothing": []}[pattern]
        matching = [one for one in references if one.kind == kind and (wanted is None or one.name in wanted)]
        ages = [(one.time, one) for one in matching]
        for reference in plain_limit(ages, policy.limit or KeepLimit(last=-1)):
            limits[reference] = policy.images or KeepLimit(last=1)
    kept: dict[str, set[str]] = {image: set() for image in images}
    for reference, limit in limits.items():
        reached = {reference.commit}
        while reference.kind == "branch":
            more = {parent for commit in reached for parent in commits.parents[commit]} | reached
            if more == reached:
                break
            reached = more
        for image, stages in images.items():
            stage_of: dict[str, list[str]] = {}
            for stage, built in stages.items():
                here = [commit for commit in built if commit in reached]
                if here:
                    stage_of.setdefault(max(here, key=lambda commit: commits.times[commit]), []).append(stage)
            for commit in plain_limit([(commits.times[commit], commit) for commit in stage_of], limit):
                kept[image].update(stage_of[commit])
    return kept


def plain_limit(items: list[tuple[int, Any]], limit: KeepLimit) -> list[Any]:
    newest = [item for _, item in sorted(items, key=lambda pair: (-pair[0], getattr(pair[1], "name", "")))]
    last = newest if limit.last in (None, -1) else newest[: limit.last]
    young = [item for time, item in items if limit.within is None or NOW - time < limit.within]
    if limit.operator == "Or" and limit.last is not None and limit.within is not None:
        return [item for item in newest if item in last or item in young]
    return [item for item in newest if item in last and item in young]


@settings(max_examples=300)
@given(st.integers(0, 1 << 32).map(history_of), POLICIES)
def test_it_is_what_a_plain_implementation_says(
    history: tuple[MemoryCommits, list[GitReference], dict[str, dict[str, list[str]]]], policies: list[KeepPolicy]
) -> None:
    commits, references, images = history
    selected = select_references(references, policies, NOW)
    kept = kept_by_history(selected, images, commits, NOW)
    assert {image: set(stages) for image, stages in kept.items()} == plainly(commits, references, images, policies)
    for image, stages in kept.items():
        for stage, needed in stages.items():
            assert needed
            assert needed <= set(images[image][stage])
