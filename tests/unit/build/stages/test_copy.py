"""Copies from a repository to another one."""

from __future__ import annotations

import threading

import pytest

from pywerf.build.project.storage.records import CustomTag, custom_tags
from pywerf.build.stages.contents import Contents, all_contents
from pywerf.build.stages.places import RepositoryOrigin
from pywerf.errors import RegistryError, RegistryNotFound
from support.fake_registry import FakeRegistry
from support.stage_shelf import Shelf, stage_id

from .conftest import Copying

COMMIT = "c" * 40


def filled(shelf: Shelf) -> None:
    for number in (1, 2, 3):
        shelf.stage(number)
        shelf.built("web", COMMIT, stage_id(number))
    shelf.index(9, 1, 2)
    shelf.manage("web")
    shelf.custom("v1", stage_id(3))


def test_the_copy_has_the_same_manifests_under_the_same_tags(
    a: Shelf, b: Shelf, copying: Copying, fake_registry: FakeRegistry
) -> None:
    filled(a)
    done = copying.across(a, b)
    assert b.tags == a.tags
    for tag in a.tags:
        assert fake_registry.manifests["b", tag] == fake_registry.manifests["a", tag]
    assert str(done) == "4 stages, 5 records copied"
    assert custom_tags(b.storage.records) == [CustomTag("v1", stage_id(3))]


def test_what_is_there_is_neither_sent_nor_asked_for(
    a: Shelf, b: Shelf, copying: Copying, fake_registry: FakeRegistry
) -> None:
    filled(a)
    copying.across(a, b)
    fake_registry.requests.clear()
    done = copying.across(a, b)
    assert str(done) == "0 stages, 0 records copied; 4 stages there already"
    assert {request.method for request in fake_registry.requests} <= {"GET", "HEAD"}


def test_blobs_are_mounted_where_that_is_possible(
    a: Shelf, b: Shelf, copying: Copying, fake_registry: FakeRegistry
) -> None:
    filled(a)
    contents = Contents("shop", all_contents(a.storage, "shop", jobs=4).stages)
    copying.across(a, b, contents)
    assert len([request for request in fake_registry.seen("POST", "/v2/b/blobs/uploads/") if request.query]) == 3
    assert not fake_registry.seen("PUT", "/v2/b/blobs/")


def test_a_layer_of_many_stages_is_sent_once(a: Shelf, b: Shelf, copying: Copying, fake_registry: FakeRegistry) -> None:
    fake_registry.mounts = False
    layer = b"x" * 200_000
    for number in range(1, 9):
        fake_registry.add_image("a", str(stage_id(number)), (layer, b"own" * number))
    contents = Contents("shop", tuple(stage_id(number) for number in range(1, 9)))
    copying.across(a, b, contents, jobs=8)
    begun = fake_registry.seen("POST", "/v2/b/blobs/uploads/")
    uploaded = [request for request in begun if not request.query]
    assert len(uploaded) == 1 + 8 + 8  # the layer; the other layer and the config of each
    assert sum(request.size == len(layer) for request in fake_registry.seen("PUT", "/v2/b/blobs/")) == 1


def test_what_was_rejected_there_is_not_brought_again(a: Shelf, b: Shelf, copying: Copying) -> None:
    filled(a)
    b.storage.reject(stage_id(2))
    done = copying.across(a, b)
    assert done.left_out == {"rejected there": 1}
    assert str(stage_id(2)) not in b.tags
    assert not any(tag.startswith("meta-") and tag.endswith(str(stage_id(2))) for tag in b.tags)


def test_a_custom_tag_moves_on_but_nobody_elses_does(
    a: Shelf, b: Shelf, copying: Copying, fake_registry: FakeRegistry
) -> None:
    for number in (1, 2):
        a.stage(number)
    a.custom("latest", stage_id(1))
    copying.across(a, b)
    a.custom("latest", stage_id(2))
    a.custom("theirs", stage_id(2))
    b.storage.records.point("theirs", stage_id(1))
    done = copying.across(a, b)
    assert done.records == 1
    tagged = {tag: fake_registry.manifests["b", tag][0] for tag in b.tags}
    assert tagged["latest"] == tagged[str(stage_id(2))]
    assert tagged["theirs"] == tagged[str(stage_id(1))]
    assert copying.told.warnings == [
        f"{b.storage.address}:theirs is a tag that werf has not given: it stays what it is"
    ]


def test_a_stage_that_vanishes_meanwhile(a: Shelf, b: Shelf, copying: Copying) -> None:
    filled(a)
    contents = all_contents(a.storage, "shop", jobs=4)
    a.storage.delete(stage_id(3))
    with pytest.raises(RegistryNotFound, match=f"stage {stage_id(3)}: "):
        copying.across(a, b, contents, jobs=1)
    done = copying.across(a, b, contents, may_vanish=True)
    assert done.left_out == {"gone": 1, "there already": 2}
    assert copying.told.warnings == [f"{a.storage.address}:{stage_id(3)} is gone: it is left out"]
    assert not {tag for tag in b.tags if str(stage_id(3)) in tag or tag.startswith(("v1", "custom"))}
    assert any(tag.startswith("meta-") for tag in b.tags)


def test_the_first_failure_stops_all_and_is_what_is_told(
    a: Shelf, b: Shelf, copying: Copying, fake_registry: FakeRegistry
) -> None:
    filled(a)
    fake_registry.fail("PUT", f"/v2/b/manifests/{stage_id(2)}", 400)
    with pytest.raises(RegistryError, match=f"stage {stage_id(2)}: "):
        copying.across(a, b, jobs=3)
    assert not any(tag.startswith(("meta-", "managed-", "v1")) for tag in b.tags)
    assert "failed" in [step[-1] for step in copying.told.steps.values()]
    copying.across(a, b)  # and the next one goes on
    assert b.tags == a.tags


def test_a_repository_that_takes_no_records_takes_stages(
    a: Shelf, b: Shelf, copying: Copying, fake_registry: FakeRegistry
) -> None:
    filled(a)
    fake_registry.fail("PUT", "/v2/b/manifests/(meta|managed)-", 403, times=10)
    done = copying.across(a, b)
    assert (done.stages, done.records) == (4, 0)
    assert "records cannot be written" in copying.told.warnings[0]


def test_somebody_elses_stage_is_never_overwritten(a: Shelf, b: Shelf, copying: Copying) -> None:
    a.stage(1)

    class Late:
        """A target whose tags are seen too early: another builder publishes after that."""

        def __init__(self, inner: object) -> None:
            self.inner = inner

        def there(self, stages: object) -> dict[object, str]:
            b.stage(1, parent=7)
            return {}

        def __getattr__(self, name: str) -> object:
            return getattr(self.inner, name)

    with copying.target(b) as target:
        done = copying.copied(all_contents(a.storage, "shop", jobs=1), RepositoryOrigin(a.storage), Late(target))
    assert str(done) == "0 stages, 0 records copied; 1 stage there already"
    found = b.storage.describe(stage_id(1))
    assert found is not None
    assert found.parent == stage_id(7)
    assert [step[-1] for step in copying.told.steps.values()] == ["cached"]


def test_several_at_once(a: Shelf, b: Shelf, copying: Copying, fake_registry: FakeRegistry) -> None:
    fake_registry.mounts = False
    for number in (1, 2, 3):
        a.stage(number)
    contents = all_contents(a.storage, "shop", jobs=4)
    fake_registry.gate = threading.Barrier(3)  # a download goes on when there are three
    assert copying.across(a, b, contents, jobs=3).stages == 3


def test_an_empty_repository_is_told_of(a: Shelf, b: Shelf, copying: Copying) -> None:
    copying.across(a, b)
    assert copying.told.warnings == [f"{a.storage.address} has no stages of the project shop"]
