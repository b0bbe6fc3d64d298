"""Decides what of a repository stays, and why, and what goes. Pure: surveys in, a plan out."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Literal

import msgspec

from pywerf.build.cleanup.survey import Survey
from pywerf.build.project.storage.model import StageDescription, StageId
from pywerf.build.project.storage.records import ImageMetadata, image_hash, is_record
from pywerf.oci.digest import Digest

__all__ = ["CleanupPlan", "Item", "ItemType", "Needs", "plan_cleanup", "plan_purge", "plan_records"]

ItemType = Literal[
    "stage",
    "finalStage",
    "customTag",
    "rejectedStage",
    "rejectedStageMarker",
    "imageMetadata",
    "managedImage",
    "importMetadata",
    "record",
]

_HOUR = 3600.0
_PLATFORM = "image index platform"


class Item(msgspec.Struct, frozen=True, order=True):
    """A tag that stays or goes. `tag` is in the repository, or in the final one (`final`).

    `type` is as the report has it (`record`: a record of a custom tag, which the report leaves out); `reason` says why
    it stays; `image`, `stage`, `commit` and `id` are what applies.
    """

    type: ItemType
    tag: str
    final: bool = False
    reason: str = ""
    image: str = ""
    stage: str = ""
    commit: str = ""
    id: str = ""


class CleanupPlan(msgspec.Struct, frozen=True):
    """What stays and what goes, in no order."""

    kept: tuple[Item, ...] = ()
    deleted: tuple[Item, ...] = ()


class Needs(msgspec.Struct, frozen=True):
    """What a project needs of its repository.

    `images` are the names that werf.yaml has. `history` has for each image the stages that stay with the commits for
    which they stay (git_policy.py); None: the git policy is off. `keep_list` are tags, `hours` how young a stage must
    be to stay (0: that is no reason), `now` in seconds since 1970.
    """

    images: Collection[str] = ()
    history: Mapping[str, Mapping[str, Collection[str]]] | None = None
    keep_list: Collection[str] = ()
    hours: float = 0
    now: float = 0


def plan_cleanup(repo: Survey, final: Survey | None, needs: Needs) -> CleanupPlan:
    """What a cleanup keeps and deletes in a repository, and in the final one."""
    young = {stage for stage, one in repo.stages.items() if _is_young(repo, stage, one, needs)}
    reasons = _reasons(repo, final, needs, young)
    kept = [Item("stage", str(stage), reason=reason, stage=str(stage)) for stage, reason in reasons.items()]
    deleted = [Item("stage", str(stage), stage=str(stage)) for stage in repo.stages if stage not in reasons]
    for tag, stage in repo.marks.items():
        if stage not in reasons:
            if stage in repo.rejected:
                deleted.append(Item("rejectedStage", str(stage), stage=str(stage)))
            deleted.append(Item("rejectedStageMarker", tag, stage=str(stage)))
    there = _kept_in_final(repo, final, reasons)
    for stage, reason in there.items():
        item = Item("finalStage", str(stage), True, reason, stage=str(stage))
        (kept if reason else deleted).append(item)
    for item in _custom(repo, final, reasons, there):
        (kept if item.reason else deleted).append(item)
    deleted += _metadata(repo, reasons, needs, young)
    for tag, imported in repo.imports.items():
        if imported.source not in reasons:
            deleted.append(Item("importMetadata", tag, stage=str(imported.source), id=imported.id))
    return CleanupPlan(tuple(sorted(kept)), tuple(sorted(deleted)))


def plan_records(repo: Survey) -> CleanupPlan:
    """What goes where cleanup is disabled: the records that only a cleanup uses."""
    return CleanupPlan((), tuple(sorted([*_managed(repo), *_all_metadata(repo)])))


def plan_purge(repo: Survey, final: Survey | None) -> CleanupPlan:
    """Everything of the project's."""
    deleted = [Item("stage", str(stage), stage=str(stage)) for stage in repo.stages]
    deleted += [Item("rejectedStage", str(stage), stage=str(stage)) for stage in repo.rejected]
    deleted += [Item("rejectedStageMarker", tag, stage=str(stage)) for tag, stage in repo.marks.items()]
    deleted += [*_custom(repo, final, {}, {}), *_managed(repo), *_all_metadata(repo)]
    deleted += [
        Item("importMetadata", tag, stage=str(imported.source), id=imported.id)
        for tag, imported in repo.imports.items()
    ]
    if final is not None:
        deleted += [Item("finalStage", str(stage), True, stage=str(stage)) for stage in final.stages]
    for place in (repo, final):
        if place is not None and not place.foreign:  # else they may be others'
            there = {item.tag for item in deleted if item.final is (place is final)}
            deleted += [Item("record", tag, place is final) for tag in place.tags - there if is_record(tag)]
    return CleanupPlan((), tuple(sorted(deleted)))


# what stays


def _reasons(repo: Survey, final: Survey | None, needs: Needs, young: Collection[StageId]) -> dict[StageId, str]:
    """Every stage that stays, with the first of its reasons."""
    listed = _listed(repo, final, needs.keep_list)
    by_git = {stage for kept in (needs.history or {}).values() for stage in map(StageId.parse, kept) if stage}
    reasons: dict[StageId, str] = dict.fromkeys(sorted(listed), "keep list")
    for stage in sorted(by_git & repo.stages.keys()):
        reasons.setdefault(stage, "git policy")
    for stage in sorted(young):
        reasons.setdefault(stage, f"built within last {needs.hours:g} hours")
    everything = {**repo.rejected, **repo.stages}
    members = {one.manifest: stage for stage, one in everything.items() if one.manifest is not None}
    # stages of which more than the image itself is wanted: what went into them can be needed again
    wide = {*listed, *young}
    todo = list(reasons)
    seen: set[tuple[StageId, bool]] = set()
    while todo:
        stage = todo.pop(0)
        if (stage, stage in wide) in seen:
            continue
        seen.add((stage, stage in wide))
        for other, reason in _relatives(everything[stage], members, wide=stage in wide):
            if other in repo.stages or (other in repo.rejected and reason == _PLATFORM):
                reasons.setdefault(other, reason)
                if stage in wide:
                    wide.add(other)
                todo.append(other)
    return reasons


def _kept_in_final(repo: Survey, final: Survey | None, reasons: Mapping[StageId, str]) -> dict[StageId, str]:
    """The stages of the final repository with why they stay, if they do: as in the repository, or unknown there."""
    known = repo.stages.keys() | repo.rejected.keys()
    stages = () if final is None else final.stages
    return {stage: reasons.get(stage, "") if stage in known else "not found in repo" for stage in stages}


def _listed(repo: Survey, final: Survey | None, keep_list: Collection[str]) -> set[StageId]:
    """The stages that a keep list names: by their tags, or by custom tags."""
    wanted = set(keep_list)
    found = {stage for stage in (*repo.stages, *repo.rejected) if str(stage) in wanted}
    for place in (repo, final):
        if place is not None:
            found |= {record.stage for record in place.custom.values() if record.name in wanted}
            # a tag that others gave to a stage is as good
            named = {digest for tag, digest in place.digests.items() if tag in wanted}
            found |= {stage for stage in repo.stages if place.digests.get(str(stage)) in named}
    return found & (repo.stages.keys() | repo.rejected.keys())


def _is_young(repo: Survey, stage: StageId, one: StageDescription, needs: Needs) -> bool:
    """Whether a stage, or a platform's of an index, was made or published within the last hours."""
    if not needs.hours:
        return False
    times = [stage.timestamp / 1000, one.created / 1e9]
    if one.members:
        times += [
            max(member.timestamp / 1000, other.created / 1e9)
            for member, other in repo.stages.items()
            if other.manifest in one.members
        ]
    return needs.now - max(times) < needs.hours * _HOUR


def _relatives(
    one: StageDescription, members: Mapping[Digest, StageId], *, wide: bool
) -> Iterator[tuple[StageId, str]]:
    """The stages that a kept one keeps, and why."""
    for manifest in one.members:
        if manifest in members:
            yield members[manifest], _PLATFORM
    if one.parent is not None:
        yield one.parent, "ancestor"
    for other in one.sources:
        yield other, "ancestor"
    if wide:
        for source in one.import_sources:
            yield source, "import source"
        for source in one.dependencies:
            yield source, "dependency source"


# what goes


def _custom(
    repo: Survey, final: Survey | None, reasons: Mapping[StageId, str], there: Mapping[StageId, str]
) -> Iterator[Item]:
    """Custom tags with the reasons of their stages (`there`: in the final repository), and records of those without.

    A tag is where the final images are, its record in the repository. One that means something else by now is not ours
    any more: only its record goes.
    """
    if final is not None:
        for record in {*repo.custom.values(), *final.custom.values()}:
            if final.means(record.name, record.stage):
                yield Item("customTag", record.name, True, there.get(record.stage, ""), stage=str(record.stage))
        for tag, record in final.custom.items():
            if not there.get(record.stage):
                yield Item("record", tag, True, stage=str(record.stage))
    for tag, record in repo.custom.items():
        if repo.means(record.name, record.stage):
            yield Item("customTag", record.name, False, reasons.get(record.stage, ""), stage=str(record.stage))
        if record.stage not in reasons:
            yield Item("record", tag, stage=str(record.stage))


def _metadata(repo: Survey, reasons: Mapping[StageId, str], needs: Needs, young: Collection[StageId]) -> Iterator[Item]:
    """The records of the git history that nobody needs.

    Those of young stages stay: their commits may not have been seen yet.
    """
    names = {image_hash(name): name for name in _images(repo, needs)}
    for tag, record in repo.metadata.items():
        name = names.get(record.hash)
        if name is not None and record.stage in reasons:
            if needs.history is None or record.stage in young:
                continue
            if record.commit in needs.history.get(name, {}).get(str(record.stage), ()):
                continue
        yield _metadata_item(tag, record, name)


def _all_metadata(repo: Survey) -> Iterator[Item]:
    names = {image_hash(record.name): record.name for record in repo.managed.values()}
    for tag, record in repo.metadata.items():
        yield _metadata_item(tag, record, names.get(record.hash))


def _metadata_item(tag: str, record: ImageMetadata, name: str | None) -> Item:
    shown = record.hash if name is None else name
    return Item("imageMetadata", tag, image=shown, stage=str(record.stage), commit=record.commit)


def _managed(repo: Survey) -> Iterator[Item]:
    for tag, record in repo.managed.items():
        yield Item("managedImage", tag, image=record.name)


def _images(repo: Survey, needs: Needs) -> set[str]:
    """The images whose history counts: those of werf.yaml, and those that it once had."""
    return set(needs.images) | {record.name for record in repo.managed.values()}
