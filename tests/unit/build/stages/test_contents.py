"""What of a repository is copied."""

from __future__ import annotations

import pytest

from pywerf.build.project.storage.model import StageId
from pywerf.build.project.storage.records import ClientId, CustomTag, ImportMetadata, ManagedImage, note_cleanup
from pywerf.build.stages.contents import all_contents, contents_of
from pywerf.errors import BuildError
from support.stage_shelf import Shelf, stage_id

COMMIT = "c" * 40


def stages(*numbers: int) -> tuple[StageId, ...]:
    return tuple(stage_id(number) for number in numbers)


def test_everything_of_the_project_and_nothing_else(a: Shelf) -> None:
    for number in (3, 1, 2):
        a.stage(number)
    index = a.index(9, 1, 2)
    theirs = a.stage(4, project="other")
    a.built("web", COMMIT, stage_id(1))
    a.built("web", COMMIT, theirs)
    a.built("web", COMMIT, stage_id(8))  # gone
    a.manage("web")
    a.custom("v1", index)
    a.custom("v2", stage_id(3))
    a.storage.records.point("v2", stage_id(1))  # somebody has moved it
    a.storage.records.point("by-hand", stage_id(1))
    a.storage.records.write("client-id-x-1", ClientId(1, "x").labels)
    for source in (1, 4):
        record = ImportMetadata(f"id{source}", stage_id(source), "sum")
        a.storage.records.write(record.tag, record.labels)
    note_cleanup(a.storage.records, 1)

    found = all_contents(a.storage, "shop", jobs=4)
    assert found.project == "shop"
    assert found.stages == (*stages(1, 2, 3), index)
    assert found.managed == (ManagedImage("web"),)
    assert [record.stage for record in found.metadata] == [stage_id(1)]
    assert found.imports == (ImportMetadata("id1", stage_id(1), "sum"),)
    assert found.custom == (CustomTag("v1", index),)


def test_rejected_stages_stay_behind_with_all_that_they_are_part_of(a: Shelf) -> None:
    for number in (1, 2, 3):
        a.stage(number)
    whole, broken = a.index(8, 1, 2), a.index(9, 2, 3)
    for stage in (stage_id(2), stage_id(3)):
        a.built("web", COMMIT, stage)
    a.storage.reject(stage_id(3))
    found = all_contents(a.storage, "shop", jobs=4)
    assert found.stages == (*stages(1, 2), whole)
    assert broken not in found.stages
    assert [record.stage for record in found.metadata] == [stage_id(2)]


def test_a_build_needs_all_that_its_images_were_made_of(a: Shelf) -> None:
    a.stage(1)
    a.stage(2, parent=1)
    a.stage(3, takes=2)
    a.stage(4, uses=3)
    a.stage(5, imports=4, parent=12)  # the parent is gone
    a.stage(6)
    a.stage(7)
    index = a.index(9, 5, 7)
    a.index(10, 6)
    for image, number in (("web", 5), ("web", 6), ("other", 5)):
        a.built(image, COMMIT, stage_id(number))
    a.manage("web")
    a.manage("other")
    a.custom("v1", index)

    found = contents_of(a.storage, [index], ["web"], jobs=4)
    assert found.project == "shop"
    assert found.stages == (*stages(1, 2, 3, 4, 5, 7), index)
    assert found.managed == (ManagedImage("web"),)
    assert [record.stage for record in found.metadata] == [stage_id(5)]
    assert found.custom == ()
    assert contents_of(a.storage, [stage_id(2)], [], jobs=1).stages == stages(1, 2)


def test_a_stage_that_was_asked_for_has_to_be_there(a: Shelf) -> None:
    a.stage(1)
    with pytest.raises(BuildError, match=f"{stage_id(2)} is not there"):
        contents_of(a.storage, stages(1, 2), ["web"], jobs=4)


def test_without_some_stages(a: Shelf) -> None:
    for number in (1, 2):
        a.stage(number)
        a.built("web", COMMIT, stage_id(number))
        a.custom(f"v{number}", stage_id(number))
    left = all_contents(a.storage, "shop", jobs=4).without({stage_id(2)})
    assert left.stages == stages(1)
    assert {record.stage for record in left.metadata} == {record.stage for record in left.custom} == {stage_id(1)}
