"""Repositories of stages that are nothing but labels, and of records: quickly made."""

from __future__ import annotations

from pywerf.build.project.storage.model import StageId, source_label
from pywerf.build.project.storage.records import CustomTag, ImageMetadata, ManagedImage, image_hash
from pywerf.build.project.storage.registry import RegistryStageStorage

__all__ = ["T0", "Shelf", "stage_id"]

T0 = 1_700_000_000_000  # milliseconds: the stage `0`


def stage_id(number: int) -> StageId:
    """The stage of a number, published so many hours after the stage 0."""
    return StageId(f"{number:02x}" * 28, T0 + number * 3_600_000)


class Shelf:
    """A repository to fill."""

    def __init__(self, storage: RegistryStageStorage) -> None:
        self.storage = storage

    @property
    def tags(self) -> set[str]:
        """What the registry has."""
        return set(self.storage.records.tags(fresh=True))

    def stage(
        self, number: int, *, parent: int | None = None, uses: int | None = None, imports: int | None = None,
        takes: int | None = None, project: str = "shop",
    ) -> StageId:  # fmt: skip
        """Publish a stage."""
        labels = {"werf": project}
        if parent is not None:
            labels["werf.io/parent-stage-id"] = str(stage_id(parent))
        if uses is not None:
            labels["werf-dependency-stage-id-abc"] = str(stage_id(uses))
        if imports is not None:
            labels["werf-import-source-stage-id-abc"] = str(stage_id(imports))
        if takes is not None:
            labels[source_label(stage_id(takes))] = str(stage_id(takes))
        self.storage.repository.put_labels(str(stage_id(number)), labels)
        return stage_id(number)

    def index(self, number: int, *members: int) -> StageId:
        """Publish an index of stages."""
        found = [self.storage.describe(stage_id(member)) for member in members]
        digest = stage_id(number).digest
        self.storage.publish_index(digest, [one for one in found if one is not None])
        return StageId(digest)

    def built(self, image: str, commit: str, stage: StageId) -> str:
        """Write down that an image had a stage at a commit; the record's tag."""
        record = ImageMetadata(image_hash(image), commit, stage)
        self.storage.records.write(record.tag, record.labels)
        return record.tag

    def manage(self, image: str) -> str:
        """Write down an image of the project; the record's tag."""
        record = ManagedImage(image)
        self.storage.records.write(record.tag, record.labels)
        return record.tag

    def custom(self, tag: str, stage: StageId, final: Shelf | None = None) -> str:
        """Give a stage a custom tag, in the final repository if there is one; the record's tag."""
        (final or self).storage.records.point(tag, stage)
        record = CustomTag(tag, stage)
        self.storage.records.write(record.tag, record.labels)
        return record.tag
