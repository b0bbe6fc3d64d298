"""Stages as images of a backend, called `PROJECT:DIGEST-TIMESTAMP`: what a build without `--repo` makes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pywerf.build.project.storage.model import PROJECT_LABEL, StageDescription, StageId
from pywerf.errors import BuildError, ImageNotFound
from pywerf.util.rfc3339 import nanoseconds

if TYPE_CHECKING:
    from pywerf.backend.contract import Backend
    from pywerf.oci.digest import Digest

__all__ = ["LOCAL", "LocalStageStorage"]

LOCAL = ":local"

# What a name without a registry is to the two backends.
_HOSTS = ("localhost/", "docker.io/library/")


class LocalStageStorage:
    """StageStorage in a backend. `project` is the name of the images and the value of their label `werf`."""

    address = LOCAL
    records = None  # there is nobody to share them with

    def __init__(self, project: str, backend: Backend) -> None:
        self.project = project
        self._backend = backend
        self._lock = threading.Lock()
        self._known: set[StageId] | None = None

    def stages(self, digest: str = "", *, fresh: bool = False) -> list[StageId]:
        """StageStorage."""
        with self._lock:
            if self._known is None or fresh:
                self._known = self._listed()
            return sorted(stage for stage in self._known if stage.digest.startswith(digest))

    def rejected(self) -> list[StageId]:
        """StageStorage: a stage that is rejected is removed."""
        return []

    def describe(self, stage: StageId) -> StageDescription | None:
        """StageStorage."""
        try:
            found = self._backend.images.inspect(self._name(stage))
        except ImageNotFound:
            return None
        if found.config.labels.get(PROJECT_LABEL) != self.project:
            return None  # somebody else's image of the same name
        return StageDescription(
            id=stage,
            repo=self.project,
            image_id=found.id,
            created=nanoseconds(found.created),
            size=found.size,
            labels=found.config.labels,
            platform=str(found.platform),
        )

    def publish(self, image: str, stage: StageId, backend: Backend) -> StageDescription:
        """StageStorage."""
        name = self._name(stage)
        self._refuse_published(stage)
        backend.images.tag(image, [name])
        return self._published(stage, name)

    def derive(
        self, base: StageId, stage: StageId, change: Callable[[bytes], bytes], backend: Callable[[], Backend]
    ) -> StageDescription:
        """StageStorage."""
        self._refuse_published(stage)
        name = self._name(stage)
        self._backend.configs.rewrite(self._name(base), change, tags=(name,))
        return self._published(stage, name)

    def publish_index(self, digest: str, members: Sequence[StageDescription]) -> StageDescription | None:
        """StageStorage: None where the backend keeps no indexes; the images stay separate then."""
        stage = StageId(digest)
        name = self._name(stage)
        if self._backend.images.join([self._name(member.id) for member in members], [name]) is None:
            return None
        return self._published(stage, name)

    def fetch(self, stage: StageId, backend: Backend) -> str:
        """StageStorage. Raises ImageNotFound."""
        name = self._name(stage)
        backend.images.inspect(name)
        return name

    def intact(self, stage: StageId) -> bool:
        """StageStorage."""
        return self._id_of(self._name(stage)) is not None

    def reject(self, stage: StageId) -> None:
        """StageStorage."""
        self._remove(stage, force=True)  # an index of it is of no more use than it is

    def delete(self, stage: StageId) -> None:
        """StageStorage."""
        self._remove(stage, force=False)

    def _remove(self, stage: StageId, *, force: bool) -> None:
        name = self._name(stage)
        if self._id_of(name) is not None:
            self._backend.images.remove([name], force=force)
        with self._lock:
            if self._known is not None:
                self._known.discard(stage)

    def _refuse_published(self, stage: StageId) -> None:
        name = self._name(stage)
        if self._id_of(name) is not None:
            raise BuildError(f"{name} is there already: a stage is never overwritten")

    def _listed(self) -> set[StageId]:
        prefixes = tuple(f"{host}{self.project}:" for host in _HOSTS)
        tags = [
            name.rpartition(":")[2]
            for image in self._backend.images.images()
            for name in image.names
            if name.startswith(prefixes)
        ]
        return {stage for tag in tags if (stage := StageId.parse(tag)) is not None}

    def _published(self, stage: StageId, name: str) -> StageDescription:
        self._note(stage)
        found = self.describe(stage)
        if found is None:
            self._backend.images.remove([name])
            raise BuildError(f"{name}: the image has not the label {PROJECT_LABEL}={self.project}")
        return found

    def _note(self, stage: StageId) -> None:
        with self._lock:
            if self._known is not None:
                self._known.add(stage)

    def _name(self, stage: StageId) -> str:
        return f"{self.project}:{stage}"

    def _id_of(self, name: str) -> Digest | None:
        try:
            return self._backend.images.inspect(name).id
        except ImageNotFound:
            return None
