"""Where stages come from and go to, as Protocols; and repositories as both."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from pywerf.build.project.storage.model import REJECTED, StageId
from pywerf.build.project.storage.reading import each
from pywerf.build.project.storage.records import CustomTag, ImageMetadata, ImportMetadata, ManagedImage
from pywerf.errors import RegistryUnauthorized
from pywerf.registry.once import BlobsOnTheirWay, OnceDestination

if TYPE_CHECKING:
    from pywerf.build.project.repos import Repos
    from pywerf.build.project.storage.registry import RegistryStageStorage
    from pywerf.build.stages.contents import Contents
    from pywerf.oci.image_io import ImageSource
    from pywerf.oci.reference import Reference
    from pywerf.registry.copy import Progress
    from pywerf.util.events import Reporter

__all__ = ["REJECTED_THERE", "THERE", "Image", "Origin", "RepositoryOrigin", "RepositoryTarget", "Target"]

Image = tuple["ImageSource", Sequence["Reference"]]
"""An image to read, and the places that its blobs can be mounted from."""

THERE = "there already"
REJECTED_THERE = "rejected there"

_Record = ManagedImage | ImageMetadata | ImportMetadata


class Origin(Protocol):
    """Where stages are copied from. Every method may be called from several threads."""

    @property
    def name(self) -> str:
        """What users call it."""

    def image(self, stage: StageId) -> Image:
        """The image of a stage, or of an index. Raises RegistryNotFound when it is gone."""


class Target(Protocol):
    """Where stages are copied to."""

    @property
    def name(self) -> str:
        """What users call it."""

    def there(self, stages: Sequence[StageId]) -> dict[StageId, str]:
        """Which of the stages are not to be taken, and why: THERE, REJECTED_THERE."""

    def take(self, stage: StageId, open_image: Callable[[], Image], progress: Progress, stop: threading.Event) -> bool:
        """Take a stage; False: somebody else has brought it meanwhile. Idempotent, atomic, from several threads.

        It is given up soon after `stop` is set, with BuildStopped.
        """

    def finish(self, contents: Contents, jobs: int) -> int:
        """Take the records that go with stages which are there now; how many of them were new."""

    def abandon(self) -> None:
        """End without them. Idempotent, and without effect after `finish`."""


class RepositoryOrigin:
    """Origin: a repository."""

    def __init__(self, storage: RegistryStageStorage) -> None:
        self._storage = storage
        self.name = storage.address

    def image(self, stage: StageId) -> Image:
        """Origin."""
        return self._storage.source(stage), (self._storage.repository.tagged(str(stage)),)


class RepositoryTarget:
    """Target: a repository. `repos` has the lock service of its builders."""

    def __init__(self, storage: RegistryStageStorage, repos: Repos, reporter: Reporter) -> None:
        self._storage = storage
        self._repos = repos
        self._reporter = reporter
        self._blobs = BlobsOnTheirWay()
        self.name = storage.address

    def there(self, stages: Sequence[StageId]) -> dict[StageId, str]:
        """Target: the tags are listed anew."""
        tags = set(self._storage.records.tags(fresh=True))
        found = {stage: THERE for stage in stages if str(stage) in tags}
        return found | {stage: REJECTED_THERE for stage in stages if f"{stage}{REJECTED}" in tags}

    def take(self, stage: StageId, open_image: Callable[[], Image], progress: Progress, stop: threading.Event) -> bool:
        """Target: send what is missing, under the lock that builders publish the stage under."""
        from pywerf.registry.copy import copy_image

        repository = self._storage.repository
        with self._repos.locked(stage.digest):
            taken = not repository.has(str(stage))
            if taken:
                source, near = open_image()
                destination = repository.access.destination(repository.tagged(str(stage)), near)
                copy_image(
                    source, OnceDestination(destination, self._blobs, stop), all_platforms=True, progress=progress
                )
        repository.note_tag(str(stage))
        return taken

    def finish(self, contents: Contents, jobs: int) -> int:
        """Target: write the records that are not there, and give the custom tags. Forbidden records get a warning."""
        known = set(self._storage.records.tags())
        records: list[_Record] = [*contents.managed, *contents.metadata, *contents.imports]
        missing = [record for record in records if record.tag not in known]
        custom = [record for record in contents.custom if self._may_have(record, known)]
        try:
            each(missing, lambda record: self._storage.records.write(record.tag, record.labels), jobs)
            return len(missing) + sum(each(custom, self._give, jobs).values())
        except RegistryUnauthorized as error:
            if error.status != 403:
                raise
            self._reporter.message("warning", f"{self.name}: records cannot be written: {error.message}")
            return 0

    def abandon(self) -> None:
        """Target: what has been taken stays; each stage is whole."""

    def _may_have(self, record: CustomTag, known: set[str]) -> bool:
        """Whether a custom tag is free, or is one that werf has given."""
        if record.name not in known or record.tag in known:
            return True
        self._reporter.message(
            "warning", f"{self.name}:{record.name} is a tag that werf has not given: it stays what it is"
        )
        return False

    def _give(self, record: CustomTag) -> bool:
        """Give a stage its custom tag, if it has it not."""
        repository, records = self._storage.repository, self._storage.records
        wanted, now = (
            repository.client.find_manifest(repository.path, tag) for tag in (str(record.stage), record.name)
        )
        known = records.read(record.tag)
        if wanted is None or (now is not None and now.digest == wanted.digest and known == record.labels):
            return False
        records.point(record.name, record.stage)
        records.write(record.tag, record.labels)
        return True
