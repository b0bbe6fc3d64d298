"""How tags are deleted: what is shared with one that stays is only untagged."""

from __future__ import annotations

import pytest

from pywerf.build.cleanup.removal import Removal, plan_removals, remove
from pywerf.errors import RegistryError
from pywerf.oci.digest import Digest
from support.fake_registry import FakeRegistry
from support.stage_shelf import Shelf

A, B, C = (Digest.parse(f"sha256:{sign * 64}") for sign in "abc")


def test_what_only_goes_goes_with_its_manifest() -> None:
    assert plan_removals({"one", "two", "three"}, {"one": A, "two": A, "three": B, "other": C}, ()) == (
        Removal(A, ("one", "two")),
        Removal(B, ("three",)),
    )


def test_what_is_shared_is_untagged() -> None:
    assert plan_removals({"one"}, {"one": A, "stays": A, "too": A}, ()) == (
        Removal(A, ("one",), alone=True, sharing=("stays", "too")),
    )


def test_what_an_index_needs_is_untagged() -> None:
    assert plan_removals({"one"}, {"one": A}, {A}) == (Removal(A, ("one",), alone=True),)


def test_a_tag_whose_manifest_is_not_known_goes_alone() -> None:
    assert plan_removals({"one", "two"}, {"two": B}, ()) == (
        Removal(None, ("one",), alone=True),
        Removal(B, ("two",)),
    )


def run(repo: Shelf, *tags: str, warnings: list[str] | None = None) -> set[str]:
    repository = repo.storage.repository
    digests = {}
    for tag in repository.tags(fresh=True):
        found = repository.client.find_manifest(repository.path, tag)
        assert found is not None
        digests[tag] = found.digest
    gone: set[str] = set()
    warn = (warnings if warnings is not None else []).append
    remove(repository, plan_removals(tags, digests, ()), jobs=3, warn=warn, gone=gone)
    return gone


def test_a_shared_manifest_survives_in_a_registry_that_deletes_no_tags(
    repo: Shelf, fake_registry: FakeRegistry
) -> None:
    stage = repo.stage(1)
    repo.storage.records.point("released", stage)
    before = fake_registry.manifests["shop", "released"]
    assert run(repo, str(stage)) == {str(stage)}
    assert repo.tags == {"released"}
    assert fake_registry.manifests["shop", "released"] == before


def test_a_registry_that_takes_a_tag_for_its_manifest_is_put_right(repo: Shelf, fake_registry: FakeRegistry) -> None:
    stage = repo.stage(1)
    repo.storage.records.point("released", stage)
    before = fake_registry.manifests["shop", "released"]
    fake_registry.deletes_tags = True
    fake_registry.deletes_by_tag = True
    warnings: list[str] = []
    assert run(repo, str(stage), warnings=warnings) == {str(stage)}
    assert fake_registry.manifests["shop", "released"] == before
    assert any("was restored" in text for text in warnings)


def test_a_failure_is_warned_of_and_the_rest_goes_on(repo: Shelf, fake_registry: FakeRegistry) -> None:
    one, two, three = repo.stage(1), repo.stage(2), repo.stage(3)
    digest = repo.storage.describe(two)
    assert digest is not None
    fake_registry.fail("DELETE", str(digest.manifest), 403)
    warnings: list[str] = []
    assert run(repo, str(one), str(two), str(three), warnings=warnings) == {str(one), str(three)}
    assert [str(two) in text for text in warnings] == [True]
    assert repo.tags == {str(two)}


@pytest.mark.parametrize("status", [405, 403])
def test_a_registry_that_deletes_nothing_is_an_error(repo: Shelf, fake_registry: FakeRegistry, status: int) -> None:
    stages = [str(repo.stage(number)) for number in range(5)]
    fake_registry.fail("DELETE", "/manifests/", status, times=10)
    with pytest.raises(RegistryError):
        run(repo, *stages)
    assert repo.tags == set(stages)
