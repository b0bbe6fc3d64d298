"""Stages in a repository of a registry.

The tags are listed once. What is known of a stage is remembered in files below the home directory, since a published
stage never changes: a build that finds everything makes one request.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from pywerf.build.project.storage.model import REJECTED, StageDescription, StageId
from pywerf.build.project.storage.repository import RECORD_LABEL, Repository
from pywerf.errors import BuildError, RegistryError, RegistryNotFound, StoreError
from pywerf.oci import media_types
from pywerf.oci.descriptor import Descriptor
from pywerf.oci.manifest import Index
from pywerf.oci.platform import Platform
from pywerf.util.rfc3339 import nanoseconds

if TYPE_CHECKING:
    from pywerf.backend.contract import Backend
    from pywerf.build.project.storage.memo import DescriptionMemo
    from pywerf.registry.docker_registry import RegistrySource

__all__ = ["RegistryRecords", "RegistryStageStorage", "copy_stage"]


class RegistryRecords:
    """TagRecords of a repository."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository

    def tags(self, *, fresh: bool = False) -> tuple[str, ...]:
        """TagRecords."""
        return self._repository.tags(fresh=fresh)

    def read(self, tag: str) -> Mapping[str, str] | None:
        """TagRecords."""
        try:
            _, _, manifest = self._repository.manifest(tag)
            if isinstance(manifest, Index):
                return {}
            labels = self._repository.config(manifest).config.labels
        except RegistryNotFound:
            return None
        return {key: value for key, value in labels.items() if key != RECORD_LABEL}

    def write(self, tag: str, labels: Mapping[str, str]) -> None:
        """TagRecords."""
        self._repository.put_labels(tag, dict(labels))

    def delete(self, tag: str) -> None:
        """TagRecords."""
        self._repository.delete_tag(tag)

    def point(self, tag: str, stage: StageId) -> None:
        """TagRecords."""
        self._repository.point(tag, str(stage))


class RegistryStageStorage:
    """StageStorage of a repository. Descriptions are remembered in `memo`."""

    def __init__(self, repository: Repository, memo: DescriptionMemo) -> None:
        self.repository = repository
        self.records = RegistryRecords(repository)
        self._memo = memo

    @property
    def address(self) -> str:
        """StageStorage."""
        return self.repository.address

    def stages(self, digest: str = "", *, fresh: bool = False) -> list[StageId]:
        """StageStorage."""
        tags = self.repository.tags(fresh=fresh)
        rejected = {tag.removesuffix(REJECTED) for tag in tags if tag.endswith(REJECTED)}
        wanted = [tag for tag in tags if tag.startswith(digest) and tag not in rejected]
        return sorted(stage for tag in wanted if (stage := StageId.parse(tag)) is not None)

    def rejected(self) -> list[StageId]:
        """StageStorage."""
        marks = [tag.removesuffix(REJECTED) for tag in self.repository.tags() if tag.endswith(REJECTED)]
        return sorted(stage for tag in marks if (stage := StageId.parse(tag)) is not None)

    def describe(self, stage: StageId) -> StageDescription | None:
        """StageStorage."""
        known = self._memo.get(self.address, stage)
        if known is None:
            try:
                known = self._describe(stage)
            except RegistryNotFound:
                return None
            self._memo.put(known)
        return known

    def publish(self, image: str, stage: StageId, backend: Backend) -> StageDescription:
        """StageStorage."""
        name = self._name(stage)
        self._refuse_published(stage)
        backend.images.tag(image, [name])  # it stays when the push fails: without it, the image could go as well
        backend.transfer.push(name)
        self.repository.note_tag(str(stage))
        return self.published(stage)

    def derive(
        self, base: StageId, stage: StageId, change: Callable[[bytes], bytes], backend: Callable[[], Backend]
    ) -> StageDescription:
        """StageStorage."""
        self._refuse_published(stage)
        self.repository.put_changed(str(base), str(stage), change)
        return self.published(stage)

    def publish_index(self, digest: str, members: Sequence[StageDescription]) -> StageDescription | None:
        """StageStorage."""
        entries = []
        for member in members:
            data, media_type, manifest = self.repository.client.manifest(self.repository.path, str(member.manifest))
            entries.append(Descriptor(media_type, manifest, len(data), Platform.parse(member.platform)))
        docker = all(entry.media_type == media_types.DOCKER_MANIFEST for entry in entries)
        index = Index(media_types.DOCKER_INDEX if docker else media_types.OCI_INDEX, tuple(entries))
        self.repository.client.put_manifest(self.repository.path, digest, index.to_json(), index.media_type)
        self.repository.note_tag(digest)
        return self.describe(StageId(digest))

    def fetch(self, stage: StageId, backend: Backend) -> str:
        """StageStorage."""
        name = self._name(stage)
        try:
            backend.images.inspect(name)
        except StoreError:
            backend.transfer.pull(name)
        return name

    def intact(self, stage: StageId) -> bool:
        """StageStorage."""
        return self.repository.is_whole(str(stage))

    def reject(self, stage: StageId) -> None:
        """StageStorage."""
        self._memo.forget(self.address, stage)
        self.records.write(f"{stage}{REJECTED}", {})

    def delete(self, stage: StageId) -> None:
        """StageStorage."""
        self._memo.forget(self.address, stage)
        self.repository.delete_manifest(str(stage))

    def source(self, stage: StageId) -> RegistrySource:
        """The image of a stage, or of an index, to be copied. Raises RegistryNotFound."""
        return self.repository.access.source(self.repository.tagged(str(stage)))

    def _name(self, stage: StageId) -> str:
        return f"{self.address}:{stage}"

    def _refuse_published(self, stage: StageId) -> None:
        if self.repository.has(str(stage)):
            raise BuildError(f"{self._name(stage)} is published already: a published stage is never overwritten")

    def published(self, stage: StageId) -> StageDescription:
        """The description of what was just sent. Raises RegistryError when it is not there."""
        found = self.describe(stage)
        if found is None:
            raise RegistryError(f"{self._name(stage)} was sent, but the registry does not have it")
        return found

    def _describe(self, stage: StageId) -> StageDescription:
        _, digest, document = self.repository.manifest(str(stage))
        if isinstance(document, Index):
            members = tuple(entry.digest for entry in document.manifests)
            return StageDescription(stage, self.address, digest, digest, members=members)
        config = self.repository.config(document)
        return StageDescription(
            id=stage,
            repo=self.address,
            image_id=document.config.digest,
            manifest=digest,
            created=nanoseconds(config.created),
            size=sum(layer.size for layer in document.layers),
            labels=config.config.labels,
            platform=str(config.platform),
        )


def copy_stage(source: RegistryStageStorage, target: RegistryStageStorage, stage: StageId) -> StageDescription:
    """Copy a stage, or an index with all its images, to another repository under the same tag. Idempotent.

    Blobs that are there, or can be mounted, are not sent. Raises RegistryError.
    """
    from pywerf.registry.copy import copy_image

    place = target.repository.tagged(str(stage))
    destination = target.repository.access.destination(place, [source.repository.tagged(str(stage))])
    try:
        copy_image(source.source(stage), destination, all_platforms=True)
    finally:
        destination.close()
    target.repository.note_tag(str(stage))
    return target.published(stage)
