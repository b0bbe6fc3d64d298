"""What a storage of stages does, and what keeps the records beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pywerf.backend.contract import Backend
    from pywerf.build.project.storage.model import StageDescription, StageId

__all__ = ["StageStorage", "TagRecords"]


class TagRecords(Protocol):
    """The tags of a repository that are no stages: records, whose labels carry the data, and custom tags.

    Which record has which tag and labels says records.py. Every method may be called from several threads.
    """

    def tags(self, *, fresh: bool = False) -> tuple[str, ...]:
        """All tags of the repository, stages too. They are asked for once, and again when `fresh`.

        Raises RegistryError.
        """

    def read(self, tag: str) -> Mapping[str, str] | None:
        """The labels of a record; None when there is no such tag. Raises RegistryError."""

    def write(self, tag: str, labels: Mapping[str, str]) -> None:
        """Make a record, or replace it. Idempotent, atomic. Raises RegistryError."""

    def delete(self, tag: str) -> None:
        """Take one tag away, a record's or a custom one: others of the same manifest stay. Idempotent.

        Raises RegistryError for registries that can delete nothing.
        """

    def point(self, tag: str, stage: StageId) -> None:
        """Make a custom tag mean a stage or an index, whatever it meant before. Idempotent, atomic.

        Raises RegistryNotFound when there is no such stage, RegistryError.
        """


class StageStorage(Protocol):
    """Stages of one project: in a repository of a registry, or as images of a backend.

    Every method may be called from several threads. Registry errors are RegistryError and its kinds, those of backends
    any WerfError.
    """

    @property
    def address(self) -> str:
        """The repository (`HOST/NAME`), or `:local`."""

    @property
    def records(self) -> TagRecords | None:
        """The records beside the stages; None where there are none (local storage)."""

    def stages(self, digest: str = "", *, fresh: bool = False) -> list[StageId]:
        """The published stages (of a digest), indexes too, the oldest first; those with a rejected mark are left out.

        Listed once for all calls, and again when `fresh`: what this object itself publishes or deletes is seen at once.
        """

    def rejected(self) -> list[StageId]:
        """The stages that have a rejected mark, whether the stage is still there or not."""

    def describe(self, stage: StageId) -> StageDescription | None:
        """What is known of a stage; None when it is gone. Remembered on this machine: it never changes."""

    def publish(self, image: str, stage: StageId, backend: Backend) -> StageDescription:
        """Give an image of the backend (by id or name) the name of a stage, and send it where it belongs.

        Never over a stage that is there: raises BuildError then. Atomic: others see it whole or not at all. The caller
        holds the lock of the digest (publishing.py). The backend has the image by the name `REPO:TAG`, too.
        """

    def derive(
        self, base: StageId, stage: StageId, change: Callable[[bytes], bytes], backend: Callable[[], Backend]
    ) -> StageDescription:
        """Publish a stage that is `base` with another config, which `change` makes of its own; no layer is touched.

        As `publish` otherwise. A registry needs no backend for it.
        """

    def publish_index(self, digest: str, members: Sequence[StageDescription]) -> StageDescription | None:
        """Join published stages, one a platform, in an index that is called by `digest`. Idempotent.

        None where the storage cannot hold one.
        """

    def fetch(self, stage: StageId, backend: Backend) -> str:
        """Bring a stage into the backend if it is not there; its name there, which builds can stand on.

        Raises RegistryNotFound, DigestMismatch … for one that is missing or damaged: it should be rejected then.
        """

    def intact(self, stage: StageId) -> bool:
        """Whether a stage is there as a whole, as far as that can be told without reading it. Nothing is remembered."""

    def reject(self, stage: StageId) -> None:
        """Mark a stage as never to be used again (local storage: remove it). Idempotent."""

    def delete(self, stage: StageId) -> None:
        """Delete a stage or an index with its manifest; all tags of that manifest go. The mark of a rejected one stays.

        Idempotent. Raises RegistryError for registries that cannot, ImageInUse for local images in use.
        """
