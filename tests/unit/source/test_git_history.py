"""Branches, tags and commits of real repositories, and what is fetched of `origin`."""

from __future__ import annotations

from pathlib import Path

import pygit2
import pytest

from pywerf.errors import GitError
from pywerf.source.git_history import TAGS, GitHistory, GitReference
from pywerf.source.git_origin import ORIGIN_TAGS, fetch_origin, has_origin, is_shallow
from support.git_repository import GitRepository

TAGGER = pygit2.Signature("Tagger", "tagger@example.org", 1_800_000_000, 0)


@pytest.fixture
def origin(tmp_path: Path) -> GitRepository:
    return GitRepository(tmp_path / "origin")


def clone(origin: GitRepository) -> pygit2.Repository:
    return pygit2.clone_repository(str(origin.path), str(origin.path.parent / "clone"))


def test_branches_of_origin_and_tags(origin: GitRepository) -> None:
    first = origin.commit({"a": "1"})
    second = origin.commit({"a": "2"})
    origin.repo.branches.local.create("feature/x", origin.repo[first])
    origin.repo.references.create("refs/tags/light", first)
    origin.repo.create_tag("v1", second, pygit2.enums.ObjectType.COMMIT, TAGGER, "the first")
    blob = origin.repo.create_blob(b"no commit")
    origin.repo.references.create("refs/tags/of-a-blob", blob)
    repo = clone(origin)
    repo.branches.local.create("mine-alone", repo[first])
    assert GitHistory(repo).references() == (
        GitReference("branch", "feature/x", first, 1_700_000_001),
        GitReference("branch", "main", second, 1_700_000_002),
        GitReference("tag", "light", first, 1_700_000_001),
        GitReference("tag", "v1", second, 1_800_000_000),
    )


def test_the_walk_gives_children_before_parents_and_each_once(origin: GitRepository) -> None:
    root = origin.commit({"a": "1"})
    left = origin.commit({"a": "2"})
    tree = origin.repo[root].tree.id
    author = pygit2.Signature("a", "a@b", 5, 0)  # long before its parent
    right = str(origin.repo.create_commit(None, author, author, "x", tree, [root]))
    merge = str(origin.repo.create_commit(None, author, author, "x", tree, [left, right]))
    other = str(origin.repo.create_commit(None, author, author, "y", tree, [right]))
    walked = list(GitHistory(origin.repo).walk([merge, other, merge]))
    assert dict(walked) == {root: (), left: (root,), right: (root,), merge: (left, right), other: (right,)}
    assert len(walked) == 5
    order = [commit for commit, _ in walked]
    assert all(order.index(commit) < order.index(parent) for commit, parents in walked for parent in parents)
    assert list(GitHistory(origin.repo).walk([])) == []


def test_the_time_of_a_commit(origin: GitRepository) -> None:
    commit = origin.commit({"a": "1"})
    history = GitHistory(origin.repo)
    assert history.time(commit) == 1_700_000_001
    assert history.time("0" * 40) is None
    assert history.time("nonsense") is None
    assert history.time(str(origin.repo.create_blob(b"no commit"))) is None


def test_what_origin_has_is_fetched_and_what_it_has_not_any_more_is_forgotten(origin: GitRepository) -> None:
    first = origin.commit({"a": "1"})
    origin.repo.branches.local.create("topic", origin.repo[first])
    origin.repo.references.create("refs/tags/old", first)
    repo = clone(origin)
    repo.references.create("refs/tags/mine", first)
    repo.references.create("refs/tags/moved", first)
    second = origin.commit({"a": "2"})
    origin.repo.branches.local["topic"].delete()
    origin.repo.branches.local.create("topic/a", origin.repo[second])
    origin.repo.references.delete("refs/tags/old")
    origin.repo.references.create("refs/tags/moved", second)

    assert has_origin(repo)
    assert not is_shallow(repo)
    fetch_origin(repo)
    found = GitHistory(repo, ORIGIN_TAGS).references()
    assert [(one.kind, one.name, one.commit) for one in found] == [
        ("branch", "main", second),
        ("branch", "topic/a", second),
        ("tag", "moved", second),
    ]
    # the user's own tags stay as they are
    mine = [one for one in GitHistory(repo, TAGS).references() if one.kind == "tag"]
    assert [(one.name, one.commit) for one in mine] == [("mine", first), ("moved", first), ("old", first)]
    assert str(repo.references["refs/heads/main"].target) == first

    origin.repo.references.delete("refs/tags/moved")
    fetch_origin(repo)
    assert [one.name for one in GitHistory(repo, ORIGIN_TAGS).references()] == ["main", "topic/a"]


def test_an_origin_that_cannot_be_reached(origin: GitRepository) -> None:
    origin.commit({"a": "1"})
    assert not has_origin(origin.repo)
    origin.repo.remotes.create("origin", f"{origin.path}/nowhere")
    with pytest.raises(GitError, match="branches and tags of origin are needed") as caught:
        fetch_origin(origin.repo)
    assert "allowFetchOriginBranchesAndTags: false" in (caught.value.hint or "")
