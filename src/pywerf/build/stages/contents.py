"""What of a project there is to copy: all that a repository has of it, or what some stages need."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING

import msgspec

from pywerf.build.project.storage.model import PROJECT_LABEL, StageDescription, StageId
from pywerf.build.project.storage.reading import StoredRecords, each, read_records, read_stages
from pywerf.build.project.storage.records import CustomTag, ImageMetadata, ImportMetadata, ManagedImage, image_hash
from pywerf.errors import BuildError, RegistryNotFound

if TYPE_CHECKING:
    from pywerf.build.project.storage.registry import RegistryStageStorage
    from pywerf.oci.digest import Digest

__all__ = ["Contents", "all_contents", "contents_of"]


class Contents(msgspec.Struct, frozen=True):
    """Stages, indexes last, and the records that go with them.

    What belongs to the repository itself is never among them: who its builders are for a lock service, when it was
    cleaned up, which stages are rejected (they may be damaged there alone, and are not copied).
    """

    project: str
    stages: tuple[StageId, ...] = ()
    managed: tuple[ManagedImage, ...] = ()
    metadata: tuple[ImageMetadata, ...] = ()
    imports: tuple[ImportMetadata, ...] = ()
    custom: tuple[CustomTag, ...] = ()

    def without(self, gone: Collection[StageId]) -> Contents:
        """The same without some stages, and without the records of them."""
        return Contents(
            self.project,
            tuple(stage for stage in self.stages if stage not in gone),
            self.managed,
            tuple(record for record in self.metadata if record.stage not in gone),
            tuple(record for record in self.imports if record.source not in gone),
            tuple(record for record in self.custom if record.stage not in gone),
        )


def all_contents(storage: RegistryStageStorage, project: str, *, jobs: int) -> Contents:
    """All that a repository has of a project: its tags are listed anew. Raises RegistryError."""
    tags = storage.records.tags(fresh=True)
    stages = read_stages(storage, tags, project, jobs=jobs)
    usable = stages.usable
    rejected = {one.manifest for stage, one in stages.mine.items() if stage not in usable}
    whole = {stage: one for stage, one in usable.items() if not any(member in rejected for member in one.members)}
    records = read_records(storage, tags, stages.foreign, jobs=jobs)
    custom = [record for record in records.custom.values() if record.stage in whole]
    meant = each([record.name for record in custom], lambda name: _manifest_of(storage, name), jobs)
    return _contents(
        project,
        whole,
        records,
        managed=records.managed.values(),
        # others may have moved the tag since
        custom=[record for record in custom if meant[record.name] == whole[record.stage].manifest],
    )


def contents_of(
    storage: RegistryStageStorage, roots: Iterable[StageId], names: Collection[str], *, jobs: int
) -> Contents:
    """What a repository has of these stages, of all that they were made of, and of the images `names`.

    Custom tags stay where they are: they name releases, not stages. Raises BuildError for a root that is not there,
    RegistryError.
    """
    tags = storage.records.tags(fresh=True)
    stages = _needed(storage, set(roots), tags, jobs=jobs)
    hashes = {image_hash(name) for name in names}
    records = read_records(storage, [tag for tag in tags if not tag.startswith("custom-tag-")], (), jobs=jobs)
    managed = [one for one in records.managed.values() if one.name in set(names)]
    found = _contents(_project_of(storage, stages.values()), stages, records, managed=managed)
    return msgspec.structs.replace(found, metadata=tuple(record for record in found.metadata if record.hash in hashes))


def _project_of(storage: RegistryStageStorage, stages: Iterable[StageDescription]) -> str:
    """Whose stages these are: their labels tell. Raises BuildError when none does."""
    for one in stages:
        if PROJECT_LABEL in one.labels:
            return one.labels[PROJECT_LABEL]
    raise BuildError(f"{storage.address}: no image has the label {PROJECT_LABEL}, which names the project")


def _contents(
    project: str,
    stages: Collection[StageId],
    records: StoredRecords,
    *,
    managed: Iterable[ManagedImage],
    custom: Iterable[CustomTag] = (),
) -> Contents:
    return Contents(
        project,
        # an image is there before an index that has it
        tuple(sorted(stages, key=lambda stage: (stage.is_index, stage.timestamp, stage.digest))),
        tuple(sorted(managed)),
        tuple(sorted(record for record in records.metadata.values() if record.stage in stages)),
        tuple(sorted(record for record in records.imports.values() if record.source in stages)),
        tuple(sorted(custom)),
    )


def _needed(
    storage: RegistryStageStorage, roots: Collection[StageId], tags: Collection[str], *, jobs: int
) -> dict[StageId, StageDescription]:
    """The stages, and those that went into them. What is gone, and was not asked for, is left out."""
    there = set(tags)
    found: dict[StageId, StageDescription] = {}
    members = _Members(storage, tags, jobs)
    todo = set(roots)
    while todo:
        step = each(sorted(todo), lambda stage: storage.describe(stage) if str(stage) in there else None, jobs)
        for stage, one in step.items():
            if one is not None:
                found[stage] = one
            elif stage in roots:
                raise BuildError(
                    f"{storage.address}:{stage} is not there", hint="was it cleaned up? build the images again"
                )
        new = [one for one in step.values() if one is not None]
        todo = {other for one in new for other in _relatives(one)} | members.of(new, found)
        todo = {stage for stage in todo if stage not in found and str(stage) in there}
    return found


def _relatives(one: StageDescription) -> tuple[StageId, ...]:
    """What went into a stage: builds that find it look for them as well."""
    before = (one.parent,) if one.parent is not None else ()
    return (*before, *one.sources, *one.import_sources, *one.dependencies)


class _Members:
    """Finds the stages that indexes are made of. Manifests tell them: all stages are looked at for that."""

    def __init__(self, storage: RegistryStageStorage, tags: Collection[str], jobs: int) -> None:
        self._read: Callable[[], Mapping[StageId, StageDescription]] = lambda: (
            read_stages(storage, tags, "", jobs=jobs).known
        )
        self._known: dict[Digest | None, StageId] | None = None

    def of(self, indexes: Iterable[StageDescription], found: Mapping[StageId, StageDescription]) -> set[StageId]:
        """The images of these indexes; those that are `found` already are not looked for."""
        manifests = {member for one in indexes for member in one.members} - {one.manifest for one in found.values()}
        if not manifests:
            return set()
        if self._known is None:
            self._known = {one.manifest: stage for stage, one in self._read().items()}
        return {self._known[manifest] for manifest in manifests if manifest in self._known}


def _manifest_of(storage: RegistryStageStorage, tag: str) -> Digest | None:
    try:
        found = storage.repository.client.find_manifest(storage.repository.path, tag)
    except RegistryNotFound:
        return None
    return None if found is None else found.digest
