"""The tags of a repository, asked for before anybody wants them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from pywerf.build.project.repos import RepoOptions, Repos
from pywerf.build.project.storage.repository import Repository
from pywerf.errors import RegistryError
from pywerf.registry.access import RegistryAccess
from support.fake_registry import FakeRegistry
from support.registry_fixtures import FAST


@pytest.fixture
def access() -> Iterator[RegistryAccess]:
    with closing(RegistryAccess(FAST, environ={})) as access:
        yield access


@pytest.fixture
def begun(fake_registry: FakeRegistry, access: RegistryAccess) -> Callable[[], Repository]:
    def begin() -> Repository:
        repository = Repository(f"{fake_registry.host}/shop", access)
        repository.begin()
        repository.wait()
        return repository

    return begin


def lists(registry: FakeRegistry) -> int:
    return len(registry.seen("GET", "tags/list"))


def test_tags_are_asked_for_once(fake_registry: FakeRegistry, begun: Callable[[], Repository]) -> None:
    fake_registry.add_image("shop", "a", (b"layer",))
    repository = begun()
    assert lists(fake_registry) == 1
    assert repository.tags() == repository.tags() == ("a",)
    assert lists(fake_registry) == 1


def test_what_has_to_be_fresh_is_asked_for_again(fake_registry: FakeRegistry, begun: Callable[[], Repository]) -> None:
    fake_registry.add_image("shop", "a", (b"layer",))
    repository = begun()
    fake_registry.add_image("shop", "b", (b"other",))
    assert repository.tags(fresh=True) == ("a", "b")
    assert repository.tags() == ("a", "b")
    assert lists(fake_registry) == 2


def test_an_error_is_told_to_who_asks_for_tags(fake_registry: FakeRegistry, begun: Callable[[], Repository]) -> None:
    fake_registry.fail("GET", "tags/list", 418, times=1, body={"errors": [{"message": "a teapot"}]})
    repository = begun()
    assert lists(fake_registry) == 1
    with pytest.raises(RegistryError, match="a teapot"):
        repository.tags()
    assert lists(fake_registry) == 1
    fake_registry.add_image("shop", "a", (b"layer",))
    assert repository.tags() == ("a",)


def test_a_repository_that_nothing_was_pushed_to(begun: Callable[[], Repository]) -> None:
    assert begun().tags() == ()


@pytest.mark.parametrize("repo", ["", ":local", "NOT/A NAME", "127.0.0.1:5000/shop:tag"])
def test_what_cannot_be_opened_is_not_begun(repo: str, access: RegistryAccess) -> None:
    assert Repos.begin(RepoOptions(repo=repo), lambda: access) is None
