"""Reads all that a repository keeps of a project, as one value that decisions are made of."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import msgspec

from pywerf.build.project.storage.model import StageDescription, StageId
from pywerf.build.project.storage.reading import each, read_records, read_stages, tolerant
from pywerf.build.project.storage.records import CustomTag, ImageMetadata, ImportMetadata, ManagedImage, is_record
from pywerf.oci.digest import Digest
from pywerf.oci.manifest import Index
from pywerf.oci.media_types import INDEXES

if TYPE_CHECKING:
    from pywerf.build.project.storage.registry import RegistryStageStorage

__all__ = ["Survey", "survey"]


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
    stages = read_stages(storage, tags, project, jobs=jobs)
    digests = {str(stage): one.manifest for stage, one in stages.known.items() if one.manifest is not None}
    other = [tag for tag in tags if StageId.parse(tag) is None]
    heads = each(other, lambda tag: storage.repository.client.find_manifest(storage.repository.path, tag), jobs)
    pinned: set[Digest] = set()
    for tag, head in heads.items():
        if head is not None:
            digests[tag] = head.digest
    indexes = [
        tag for tag, head in heads.items() if head is not None and head.media_type in INDEXES and not is_record(tag)
    ]
    for members in each(indexes, tolerant(lambda tag: _members(storage, tag)), jobs).values():
        pinned.update(members or ())
    records = read_records(storage, other, stages.foreign, jobs=jobs)
    mine, usable = stages.mine, stages.usable
    return Survey(
        address=storage.address,
        tags=frozenset(tags),
        stages=usable,
        rejected={stage: one for stage, one in mine.items() if stage not in usable},
        marks={tag: stage for tag, stage in stages.marks.items() if stage not in stages.foreign},
        foreign=stages.foreign,
        metadata=records.metadata,
        managed=records.managed,
        custom=records.custom,
        imports=records.imports,
        digests=digests,
        pinned=frozenset(pinned),
    )


def _members(storage: RegistryStageStorage, tag: str) -> Collection[Digest]:
    _, _, document = storage.repository.manifest(tag)
    return [entry.digest for entry in document.manifests] if isinstance(document, Index) else ()
