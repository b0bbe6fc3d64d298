"""Reads what a repository has of a project: its stages, told from those of others, and the records beside them."""

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
)
from pywerf.build.project.storage.repository import DELETED_LABEL
from pywerf.errors import DigestMismatch, InvalidDocument

if TYPE_CHECKING:
    from pywerf.build.project.storage.registry import RegistryStageStorage

__all__ = ["StoredRecords", "StoredStages", "each", "read_records", "read_stages", "tolerant"]

T = TypeVar("T")
K = TypeVar("K")


class StoredStages(msgspec.Struct, frozen=True):
    """Stages of a repository, indexes too. `mine` are the project's, those that are rejected too.

    `marks` are the tags that reject stages, `foreign` is what others have under tags like those of stages. `known` are
    all of them.
    """

    known: Mapping[StageId, StageDescription] = {}
    foreign: frozenset[StageId] = frozenset()
    marks: Mapping[str, StageId] = {}

    @property
    def mine(self) -> dict[StageId, StageDescription]:
        """The project's."""
        return {stage: one for stage, one in self.known.items() if stage not in self.foreign}

    @property
    def usable(self) -> dict[StageId, StageDescription]:
        """The project's that are not rejected."""
        rejected = frozenset(self.marks.values())
        return {stage: one for stage, one in self.mine.items() if stage not in rejected}


class StoredRecords(msgspec.Struct, frozen=True):
    """Records of a repository, by their tags; those of stages of other projects are left out."""

    metadata: Mapping[str, ImageMetadata] = {}
    managed: Mapping[str, ManagedImage] = {}
    custom: Mapping[str, CustomTag] = {}
    imports: Mapping[str, ImportMetadata] = {}


def read_stages(storage: RegistryStageStorage, tags: Iterable[str], project: str, *, jobs: int) -> StoredStages:
    """The stages that the tags name; without what is damaged or gone meanwhile. Raises RegistryError.

    One request, or two, for a stage that is not yet known on this machine; up to `jobs` at once.
    """
    stages = [stage for tag in tags if (stage := StageId.parse(tag)) is not None]
    found = each(stages, tolerant(storage.describe), jobs)
    known = {stage: one for stage, one in found.items() if one is not None}
    marks = {tag: stage for tag in tags if (stage := StageId.parse(tag.removesuffix(REJECTED))) and str(stage) != tag}
    return StoredStages(known, _foreign(known, project), marks)


def read_records(
    storage: RegistryStageStorage, tags: Iterable[str], foreign: Collection[StageId], *, jobs: int
) -> StoredRecords:
    """The records that the tags name, without those of `foreign` stages, and without damaged ones.

    One request, or two, for each but those of commits, and of images whose names are in their tags.
    """
    tags = tuple(tags)
    read = tolerant(storage.records.read)
    custom = each([tag for tag in tags if tag.startswith(custom_tag_record(""))], read, jobs)
    imports = each([tag for tag in tags if tag.startswith("import-metadata-")], read, jobs)
    named = [tag for tag in tags if tag.startswith("managed-image-")]
    managed = each(named, tolerant(lambda tag: _managed(storage, tag)), jobs)
    metadata = {tag: record for tag in tags if (record := ImageMetadata.of(tag)) is not None}
    given = {tag: CustomTag.read(labels) for tag, labels in custom.items() if labels is not None}
    taken = {tag: ImportMetadata.read(labels) for tag, labels in imports.items() if labels is not None}
    return StoredRecords(
        metadata={tag: one for tag, one in metadata.items() if one.stage not in foreign},
        managed={tag: one for tag, one in managed.items() if one is not None},
        custom={tag: one for tag, one in given.items() if one is not None and one.stage not in foreign},
        imports={tag: one for tag, one in taken.items() if one is not None and one.source not in foreign},
    )


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


def _managed(storage: RegistryStageStorage, tag: str) -> ManagedImage | None:
    found = ManagedImage.of(tag)
    if found is None:
        labels = storage.records.read(tag) or {}
        name = labels.get("werf-image-name")
        found = None if name is None else ManagedImage(name)
    return found


def tolerant(read: Callable[[K], T | None]) -> Callable[[K], T | None]:
    """The same, but None for what is damaged: it is left alone, and is no reason to do nothing."""

    def attempt(key: K) -> T | None:
        try:
            return read(key)
        except (InvalidDocument, DigestMismatch):
            return None

    return attempt


def each(keys: Collection[K], read: Callable[[K], T], jobs: int) -> dict[K, T]:
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
