"""What a cleanup and a purge decide, on repositories of a registry that is looked at for real."""

from __future__ import annotations

from typing import Any

from pywerf.build.cleanup.plan import CleanupPlan, Needs, plan_cleanup, plan_purge, plan_records
from pywerf.build.cleanup.survey import Survey, survey
from pywerf.build.project.storage.model import StageId
from pywerf.build.project.storage.records import ImportMetadata
from support.fake_registry import FakeRegistry
from support.stage_shelf import T0, Shelf, stage_id

FAR = T0 / 1000 + 10_000 * 3600.0  # long after everything


def look(shelf: Shelf) -> Survey:
    return survey(shelf.storage, "shop", jobs=4)


def plan(repo: Shelf, final: Shelf | None = None, **needs: Any) -> CleanupPlan:
    needs = {"images": ["web"], "now": FAR, "history": {}, **needs}
    return plan_cleanup(look(repo), None if final is None else look(final), Needs(**needs))


def kept(plan: CleanupPlan) -> dict[str, str]:
    return {item.tag: item.reason for item in plan.kept}


def deleted(plan: CleanupPlan) -> set[tuple[str, str]]:
    return {(item.type, item.tag) for item in plan.deleted}


def test_what_nothing_needs_goes(repo: Shelf) -> None:
    stage = repo.stage(1)
    record = repo.built("web", "c1", stage)
    assert kept(plan(repo)) == {}
    assert deleted(plan(repo)) == {("stage", str(stage)), ("imageMetadata", record)}


def test_what_the_history_needs_stays_with_its_ancestors_and_its_record(repo: Shelf) -> None:
    base, middle, last, other = repo.stage(1), repo.stage(2, parent=1), repo.stage(3, parent=2), repo.stage(4, parent=1)
    needed, old, stray = repo.built("web", "c2", last), repo.built("web", "c1", last), repo.built("web", "c9", other)
    found = plan(repo, history={"web": {str(last): {"c2"}}})
    assert kept(found) == {str(last): "git policy", str(middle): "ancestor", str(base): "ancestor"}
    assert deleted(found) == {("stage", str(other)), ("imageMetadata", old), ("imageMetadata", stray)}
    assert needed not in {item.tag for item in found.deleted}


def test_the_stages_of_its_own_dockerfile_stay_with_a_staged_image(repo: Shelf) -> None:
    tools, copied = repo.stage(1), repo.stage(2, parent=1)
    docs, last, other = repo.stage(3), repo.stage(4, parent=2, takes=3), repo.stage(5)
    repo.built("web", "c1", last)
    found = plan(repo, history={"web": {str(last): {"c1"}}})
    assert kept(found) == {
        str(last): "git policy",
        **dict.fromkeys(map(str, (tools, copied, docs)), "ancestor"),
    }
    assert deleted(found) == {("stage", str(other))}


def test_young_stages_stay_with_their_records_and_with_what_went_into_them(repo: Shelf) -> None:
    base, source, old, young = repo.stage(1), repo.stage(2), repo.stage(3), repo.stage(10, parent=1, uses=2, imports=4)
    imported = repo.stage(4)
    record = repo.built("web", "not-seen-yet", young)
    found = plan(repo, hours=2, now=T0 / 1000 + 11 * 3600)
    assert kept(found) == {
        str(young): "built within last 2 hours",
        str(base): "ancestor",
        str(source): "dependency source",
        str(imported): "import source",
    }
    assert deleted(found) == {("stage", str(old))}
    assert record not in {item.tag for item in found.deleted}
    assert kept(plan(repo, hours=0, now=T0 / 1000 + 11 * 3600)) == {}
    assert set(kept(plan(repo, hours=9, now=T0 / 1000 + 11 * 3600))) == {
        str(one) for one in (young, base, source, imported, old)
    }


def test_sources_are_not_followed_from_what_the_history_alone_needs(repo: Shelf) -> None:
    repo.stage(1)
    ancestor, last = repo.stage(2, uses=1), repo.stage(3, parent=2, uses=1)
    found = plan(repo, history={"web": {str(last): {"c"}}})
    assert set(kept(found)) == {str(ancestor), str(last)}
    also_listed = plan(repo, history={"web": {str(last): {"c"}}}, keep_list=[str(last)])
    assert kept(also_listed)[str(stage_id(1))] == "dependency source"
    assert kept(also_listed)[str(last)] == "keep list"


def test_the_keep_list_has_stages_and_custom_tags(repo: Shelf) -> None:
    first, second, third = repo.stage(1), repo.stage(2), repo.stage(3)
    repo.custom("v1", second)
    repo.storage.records.point("by-hand", third)
    record = repo.custom("v2", repo.stage(4))
    found = plan(repo, keep_list=[str(first), "v1", "by-hand", "nowhere"])
    assert kept(found) == dict.fromkeys([str(first), str(second), str(third), "v1"], "keep list")
    assert deleted(found) == {("stage", str(stage_id(4))), ("customTag", "v2"), ("record", record)}


def test_the_platforms_of_a_kept_index_stay(repo: Shelf) -> None:
    one, two, three = repo.stage(1), repo.stage(2), repo.stage(3)
    index, other = repo.index(9, 1, 2), repo.index(8, 2, 3)
    found = plan(repo, history={"web": {str(index): {"c"}}})
    assert kept(found) == {
        str(index): "git policy",
        str(one): "image index platform",
        str(two): "image index platform",
    }
    assert deleted(found) == {("stage", str(other)), ("stage", str(three))}


def test_an_index_is_as_young_as_its_platforms(repo: Shelf) -> None:
    repo.stage(1)
    repo.stage(10)
    index = repo.index(9, 1, 10)
    found = plan(repo, hours=2, now=T0 / 1000 + 11 * 3600)
    assert kept(found)[str(index)] == "built within last 2 hours"
    assert kept(found)[str(stage_id(1))] == "image index platform"


def test_rejected_stages_and_their_marks_go(repo: Shelf) -> None:
    stage, gone, child = repo.stage(1), stage_id(2), repo.stage(3, parent=1)
    repo.storage.reject(stage)
    repo.storage.reject(gone)
    record = repo.built("web", "c", stage)
    found = plan(repo, history={"web": {str(child): {"c"}, str(stage): {"c"}}})
    assert kept(found) == {str(child): "git policy"}
    assert deleted(found) == {
        ("rejectedStage", str(stage)),
        ("rejectedStageMarker", f"{stage}-rejected"),
        ("rejectedStageMarker", f"{gone}-rejected"),
        ("imageMetadata", record),
    }


def test_records_of_images_that_are_no_more(repo: Shelf) -> None:
    stage = repo.stage(1)
    history = {"web": {str(stage): {"c"}}, "old": {str(stage): {"c"}}}
    kept_record, managed = repo.built("web", "c", stage), repo.built("old", "c", stage)
    stranger = repo.built("never-heard-of", "c", stage)
    repo.manage("old")
    missing = repo.built("web", "c", stage_id(7))
    found = plan(repo, history=history)
    assert deleted(found) == {("imageMetadata", stranger), ("imageMetadata", missing)}
    assert {kept_record, managed}.isdisjoint(item.tag for item in found.deleted)
    shown = {item.tag: item.image for item in found.deleted}
    assert shown[missing] == "web"


def test_without_the_git_policy_records_stay_with_their_stages(repo: Shelf) -> None:
    young, old = repo.stage(10), repo.stage(1)
    repo.built("web", "c", young)
    record = repo.built("web", "c", old)
    found = plan(repo, history=None, hours=2, now=T0 / 1000 + 11 * 3600)
    assert deleted(found) == {("stage", str(old)), ("imageMetadata", record)}


def test_import_records_go_with_their_sources(repo: Shelf) -> None:
    stage = repo.stage(1)
    for record in (ImportMetadata("a", stage, "sum"), ImportMetadata("b", stage_id(2), "sum")):
        repo.storage.records.write(record.tag, record.labels)
    found = plan(repo, keep_list=[str(stage)])
    assert deleted(found) == {("importMetadata", "import-metadata-b")}
    assert [item.id for item in found.deleted] == ["b"]


def test_what_others_have_is_left_alone(repo: Shelf) -> None:
    theirs = repo.stage(1, project="other")
    index = repo.index(9, 1)
    records = {repo.built("web", "c", theirs), repo.custom("theirs", theirs), repo.built("web", "c", index)}
    repo.storage.reject(theirs)
    repo.storage.repository.put_labels("v1.0", {"made": "by hand"})
    repo.storage.repository.put_labels(str(stage_id(5)), {"no": "project"})
    assert plan(repo) == CleanupPlan()
    assert plan_purge(look(repo), None) == CleanupPlan()
    assert records <= repo.tags


def test_a_custom_tag_that_means_something_else_by_now_is_not_ours(repo: Shelf) -> None:
    stage = repo.stage(1)
    record = repo.custom("latest", stage)
    repo.storage.repository.put_labels("latest", {"made": "by hand"})
    assert deleted(plan(repo)) == {("stage", str(stage)), ("record", record)}


def test_what_is_damaged_is_left_alone(repo: Shelf, fake_registry: FakeRegistry) -> None:
    stage = repo.stage(1)
    for tag in (str(stage_id(2)), "custom-tag-meta-x", "import-metadata-x", "managed-image-__cut__x", "others"):
        fake_registry.add_manifest("shop", tag, b"no manifest", "application/vnd.oci.image.index.v1+json")
    assert deleted(plan(repo)) == {("stage", str(stage))}


def test_the_final_repository_follows(repo: Shelf, final: Shelf) -> None:
    needed, unneeded, unknown = repo.stage(1), repo.stage(2), stage_id(3)
    for stage in (1, 2, 3):
        final.stage(stage)
    record = repo.custom("v2", unneeded, final)
    repo.custom("v1", needed, final)
    found = plan(repo, final, history={"web": {str(needed): {"c"}}})
    assert [(item.type, item.tag, item.reason) for item in found.kept] == [
        ("customTag", "v1", "git policy"),
        ("finalStage", str(needed), "git policy"),
        ("finalStage", str(unknown), "not found in repo"),
        ("stage", str(needed), "git policy"),
    ]
    assert deleted(found) == {
        ("stage", str(unneeded)),
        ("finalStage", str(unneeded)),
        ("customTag", "v2"),
        ("record", record),
    }
    assert {item.tag for item in found.deleted if item.final} == {str(unneeded), "v2"}
    listed = plan(repo, final, keep_list=["v2"])
    assert kept(listed)[str(unneeded)] == "keep list"


def test_with_cleanup_disabled_only_its_records_go(repo: Shelf) -> None:
    stage = repo.stage(1)
    record, image = repo.built("web", "c", stage), repo.manage("web")
    repo.custom("v1", stage)
    found = plan_records(look(repo))
    assert found.kept == ()
    assert deleted(found) == {("imageMetadata", record), ("managedImage", image)}


def test_a_purge_takes_everything(repo: Shelf, final: Shelf) -> None:
    stage = repo.stage(1)
    index = repo.index(9, 1)
    repo.storage.reject(stage_id(2))
    records = {repo.built("web", "c", stage), repo.manage("web"), repo.custom("v1", stage)}
    final.stage(1)
    repo.custom("v2", stage, final)
    final.storage.records.write("cleanup", {})
    found = plan_purge(look(repo), look(final))
    assert found.kept == ()
    assert len({(item.final, item.tag) for item in found.deleted}) == len(found.deleted)
    assert {item.tag for item in found.deleted if not item.final} == repo.tags
    assert {item.tag for item in found.deleted if item.final} == final.tags
    assert str(index) in {item.tag for item in found.deleted}
    assert records < repo.tags
    assert StageId.parse(str(index)) == index
