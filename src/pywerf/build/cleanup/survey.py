"""Reads all that a repository keeps of a project, as one value that decisions are made of."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING, TypeVar

import msgspec

from pywerf.build.project.storage.model import PROJECT_LABEL, REJECTED, StageDescription, StageId
from pywerf.build.project.storage.records import (
    CustomTag,
    ImageMetadata,
    ImportMetadata,
    ManagedImage,
    custom_tag_record,
    is_record,
)
from pywerf.build.project.storage.repository import DELETED_LABEL
from pywerf.errors import DigestMismatch, InvalidDocument
from pywerf.oci.digest import Digest
from pywerf.oci.manifest import Index
from pywerf.oci.media_types import INDEXES

if TYPE_CHECKING:
    from pywerf.build.project.storage.registry import RegistryStageStorage

__all__ = ["Survey", "survey"]

T = TypeVar("T")
K = TypeVar("K")


class Survey(msgspec.Struct, frozen=True):
    """A repository at one moment.

    `stages` are the project's, indexes too, without those that are `rejected`; `marks` are the tags that reject stages.
    `foreign` is what others have under tags like those of stages; it is left alone. Records are by their tags.
    `digests` has the manifest of every tag, `pinned` the manifests that indexes which are no stages are made of.
    """

    address: str
    tags: frozenset[str] = frozenset()
    stages: Mapping[StageId, StageDescription] = {}
    rejected: Mapping[StageId, StageDescription] = {}
    marks: Mapping[str, StageId] = {}
    foreign: frozenset[StageId] = frozenset()
    metadata: Mapping[str, ImageMetadata] = {}
    managed: Mapping[str, ManagedImage] = {}
    custom: Mapping[str, CustomTag] = {}
    imports: Mapping[str, ImportMetadata] = {}
    digests: Mapping[str, Digest] = {}
    pinned: frozenset[Digest] = frozenset()

    def custom_tags_of(self, stage: StageId) -> list[str]:
        """The custom tags that werf gave to a stage, and that still mean it: others may have moved them since."""
        return sorted(
            record.name for record in self.custom.values() if record.stage == stage and self.means(record.name, stage)
        )

    def means(self, tag: str, stage: StageId) -> bool:
        """Whether a tag is there and has the manifest of a stage."""
        manifest = self.digests.get(str(stage))
        return manifest is not None and self.digests.get(tag) == manifest


def survey(storage: RegistryStageStorage, project: str, *, jobs: int) -> Survey:
    """Look at a repository as it is now: its tags are listed anew. Raises RegistryError.

    One request for a tag that is not yet known on this machine; up to `jobs` at once.
    """
    tags = storage.records.tags(fresh=True)
    found = _described(storage, tags, jobs)
    marks = {tag: stage for tag in tags if (stage := StageId.parse(tag.removesuffix(REJECTED))) and str(stage) != tag}
    rejected = frozenset(marks.values())
    foreign = _foreign(found, project)
    mine = {stage: one for stage, one in found.items() if stage not in foreign}
    digests = {str(stage): one.manifest for stage, one in found.items() if one.manifest is not None}
    other = [tag for tag in tags if StageId.parse(tag) is None]
    heads = _each(other, lambda tag: storage.repository.client.find_manifest(storage.repository.path, tag), jobs)
    pinned: set[Digest] = set()
    for tag, head in heads.items():
        if head is not None:
            digests[tag] = head.digest
    indexes = [
        tag for tag, head in heads.items() if head is not None and head.media_type in INDEXES and not is_record(tag)
    ]
    for members in _each(indexes, _tolerant(lambda tag: _members(storage, tag)), jobs).values():
        pinned.update(members or ())
    custom = _each([tag for tag in other if _is_custom(tag)], _tolerant(storage.records.read), jobs)
    imports = _each([tag for tag in other if tag.startswith("import-metadata-")], _tolerant(storage.records.read), jobs)
    managed = _each(
        [tag for tag in other if tag.startswith("managed-image-")], _tolerant(lambda tag: _managed(storage, tag)), jobs
    )
    metadata = {tag: record for tag in other if (record := ImageMetadata.of(tag)) is not None}
    given = {tag: CustomTag.read(labels) for tag, labels in custom.items() if labels is not None}
    taken = {tag: ImportMetadata.read(labels) for tag, labels in imports.items() if labels is not None}
    return Survey(
        address=storage.address,
        tags=frozenset(tags),
        stages={stage: one for stage, one in mine.items() if stage not in rejected},
        rejected={stage: one for stage, one in mine.items() if stage in rejected},
        marks={tag: stage for tag, stage in marks.items() if stage not in foreign},
        foreign=foreign,
        metadata={tag: one for tag, one in metadata.items() if one.stage not in foreign},
        managed={tag: one for tag, one in managed.items() if one is not None},
        custom={tag: one for tag, one in given.items() if one is not None and one.stage not in foreign},
        imports={tag: one for tag, one in taken.items() if one is not None and one.source not in foreign},
        digests=digests,
        pinned=frozenset(pinned),
    )


def _described(storage: RegistryStageStorage, tags: Iterable[str], jobs: int) -> dict[StageId, StageDescription]:
    """The stages that the tags name, of all projects, rejected ones too; without what is damaged or gone meanwhile."""
    stages = [stage for tag in tags if (stage := StageId.parse(tag)) is not None]
    found = _each(stages, _tolerant(storage.describe), jobs)
    return {stage: one for stage, one in found.items() if one is not None}


def _foreign(found: Mapping[StageId, StageDescription], project: str) -> frozenset[StageId]:
    """What is not the project's, though its tag looks so: told by the label, of an index by that of its members.

    What a deletion has left behind that was killed is ours, whoever began it.
    """
    ours = {
        stage for stage, one in found.items() if one.labels.get(PROJECT_LABEL) == project or DELETED_LABEL in one.labels
    }
    manifests = {found[stage].manifest for stage in ours}
    ours |= {stage for stage, one in found.items() if any(member in manifests for member in one.members)}
    return frozenset(found.keys() - ours)


def _members(storage: RegistryStageStorage, tag: str) -> Collection[Digest]:
    _, _, document = storage.repository.manifest(tag)
    return [entry.digest for entry in document.manifests] if isinstance(document, Index) else ()


def _is_custom(tag: str) -> bool:
    return tag.startswith(custom_tag_record(""))


def _managed(storage: RegistryStageStorage, tag: str) -> ManagedImage | None:
    found = ManagedImage.of(tag)
    if found is None:
        labels = storage.records.read(tag) or {}
        name = labels.get("werf-image-name")
        found = None if name is None else ManagedImage(name)
    return found


def _tolerant(read: Callable[[K], T | None]) -> Callable[[K], T | None]:
    """The same, but None for what is damaged: it is left alone, and is no reason to clean nothing."""

    def tolerant(key: K) -> T | None:
        try:
            return read(key)
        except (InvalidDocument, DigestMismatch):
            return None

    return tolerant


def _each(keys: Collection[K], read: Callable[[K], T], jobs: int) -> dict[K, T]:
    """What `read` gives for each key, several at once. The first error is raised."""
    from pywerf.registry.parallel import run_all

    found: dict[K, T] = {}
    lock = threading.Lock()

    def work(key: K) -> Callable[[threading.Event], None]:
        def run(stop: threading.Event) -> None:
            value = read(key)
            with lock:
                found[key] = value

        return run

    run_all([work(key) for key in keys], jobs)
    return {key: found[key] for key in keys}
