"""Warnings about repositories that nobody cleans up, and caches beside the main repository."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pygit2
import pytest

from pywerf.backend.contract import DockerfileBuild
from pywerf.build.embedded import EmbeddedBackend
from pywerf.build.project.after_build import commits_of, warn_of_many_tags
from pywerf.build.project.caches import bring_from_caches
from pywerf.build.project.project import Project
from pywerf.build.project.repos import RepoOptions, Repos
from pywerf.build.project.storage.model import StageId
from pywerf.build.project.storage.open import open_registry_storage
from pywerf.build.project.storage.records import CLEANUP, note_cleanup
from pywerf.build.project.storage.registry import RegistryStageStorage
from pywerf.build.session import Session
from pywerf.errors import GitError
from pywerf.registry.access import RegistryAccess
from support.fake_registry import FakeRegistry
from support.git_repository import GitRepository
from support.memory_tree import MemoryTree

WERF_YAML = "project: shop\nconfigVersion: 1\n---\nimage: web\ndockerfile: Dockerfile\n"
STAGE = StageId("a1" * 28, 1700000000001)
DAY = 24 * 3600


@pytest.fixture
def make_repos(
    fake_registry: FakeRegistry, make_access: Callable[..., RegistryAccess], tmp_path: Path, told: Any
) -> Callable[[], Repos]:
    def make() -> Repos:
        access = make_access()

        def opened(name: str) -> RegistryStageStorage:
            return open_registry_storage(f"{fake_registry.host}/{name}", access, home=str(tmp_path / "home"))

        return Repos(
            opened("main"),
            project="shop",
            options=RepoOptions(repo="x", home=str(tmp_path / "home")),
            access=lambda: access,
            reporter=told,
            caches=(opened("cache"),),
        )

    return make


def with_tags(registry: FakeRegistry, *tags: str) -> None:
    for tag in tags:
        registry.add_manifest("main", tag, b"{}")


@pytest.mark.parametrize(
    ("days", "metas", "expected"),
    [(None, 0, "last cleanup: never"), (15, 0, "last cleanup: 15 days ago"), (3, 0, ""), (3, 95, "95 of them records")],
)
def test_many_tags(
    make_repos: Callable[[], Repos],
    fake_registry: FakeRegistry,
    told: Any,
    days: int | None,
    metas: int,
    expected: str,
) -> None:
    now = 1_700_000_000
    names = [f"meta-{number}" if number < metas else f"tag{number}" for number in range(101)]
    with_tags(fake_registry, *names)
    repos = make_repos()
    assert repos.main.records is not None
    if days is not None:
        note_cleanup(repos.main.records, (now - days * DAY) * 1000)
    warn_of_many_tags(repos, told, now=lambda: float(now))
    warnings = [text for kind, text in told.messages if kind == "warning"]
    assert len(warnings) == bool(expected)
    assert all(expected in text for text in warnings)


def test_few_tags_are_nobodys_business(make_repos: Callable[[], Repos], fake_registry: FakeRegistry, told: Any) -> None:
    with_tags(fake_registry, "one", CLEANUP)
    warn_of_many_tags(make_repos(), told)
    assert told.messages == []


def test_what_is_built_on_comes_from_the_cache(
    make_repos: Callable[[], Repos], make_session: Callable[..., Session], fake_registry: FakeRegistry, told: Any
) -> None:
    repos, backend = make_repos(), EmbeddedBackend(make_session())
    build = DockerfileBuild(b"FROM scratch\nCOPY f /\n", context=MemoryTree({"f": "x"}), labels={"werf": "shop"})
    published = repos.main.publish(str(backend.builder.build(build)), STAGE, backend)

    # a stage that the cache lacks is copied there …
    elsewhere = EmbeddedBackend(make_session("elsewhere"))
    bring_from_caches(repos, STAGE, elsewhere)
    assert repos.caches[0].stages() == [STAGE]
    # … and the next one takes it from there
    fake_registry.requests.clear()
    third = EmbeddedBackend(make_session("third"))
    bring_from_caches(make_repos(), STAGE, third)
    assert third.images.inspect(published.name).id == published.image_id
    assert not fake_registry.seen("GET", "/v2/main/blobs")
    assert told.messages == []


def test_a_cache_that_fails_is_a_warning(
    make_repos: Callable[[], Repos], make_session: Callable[..., Session], fake_registry: FakeRegistry, told: Any
) -> None:
    repos = make_repos()
    fake_registry.fail("GET", "/v2/cache/tags", 403, times=9)
    bring_from_caches(repos, STAGE, EmbeddedBackend(make_session()))
    assert {kind for kind, _ in told.messages} == {"warning"}
    assert all(f"--cache-repo {fake_registry.host}/cache" in text for _, text in told.messages)


def test_a_merge_preview_counts_for_the_branch_as_well(git: GitRepository, opened: Callable[..., Project]) -> None:
    first = git.commit({"werf.yaml": WERF_YAML, "Dockerfile": "FROM scratch\n"})
    assert commits_of(opened()) == [first]
    with pytest.raises(GitError, match="is no merge of two commits, it has 0 parents"):
        commits_of(opened(virtual_merge=True))
    repository = pygit2.Repository(str(git.path))
    who = pygit2.Signature("n", "n@example.org")
    tree = repository[first].peel(pygit2.Tree).id
    branch = repository.create_commit(None, who, who, "branch", tree, [first])
    repository.create_commit("HEAD", who, who, "preview", tree, [first, str(branch)])
    project = opened(virtual_merge=True)
    assert commits_of(project) == [project.commit, str(branch)]
