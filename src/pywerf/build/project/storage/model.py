"""Stages as values: what they are called, and what is known of one that is published."""

from __future__ import annotations

import re

import msgspec

from pywerf.oci.digest import Digest

__all__ = [
    "COMMIT_LABEL",
    "CONTENT_DIGEST_LABEL",
    "PARENT_LABEL",
    "PROJECT_LABEL",
    "REJECTED",
    "VERSION_LABEL",
    "StageDescription",
    "StageId",
    "dependency_label",
    "source_label",
]

PROJECT_LABEL = "werf"
VERSION_LABEL = "werf-version"
COMMIT_LABEL = "werf-project-repo-commit"
CONTENT_DIGEST_LABEL = "werf-stage-content-digest"
PARENT_LABEL = "werf.io/parent-stage-id"

REJECTED = "-rejected"
"""What the tag of a mark ends in: the stage of the tag before it is never to be used again."""

_SOURCE = "werf.io/source-stage-id-"
_DEPENDENCY = "werf-dependency-stage-id-"
_IMPORT_SOURCE = "werf-import-source-stage-id-"
_TAG = re.compile(r"([0-9a-f]{56})(?:-([0-9]{13}))?", re.ASCII)


def dependency_label(stage: StageId) -> str:
    """The label that names a stage whose name or digest went into the build (`dependencies` of werf.yaml)."""
    from pywerf.util.murmur3 import murmur3_hex

    return f"{_DEPENDENCY}{murmur3_hex(str(stage))}"


def source_label(stage: StageId) -> str:
    """The label that names a stage of the same image from which files were taken (COPY --from=STAGE)."""
    from pywerf.util.murmur3 import murmur3_hex

    return f"{_SOURCE}{murmur3_hex(str(stage))}"


class StageId(msgspec.Struct, frozen=True, order=True):
    """A stage's name: the digest of what it is made from (56 hexadecimal digits), and when it was published.

    `timestamp` is in milliseconds since 1970; 0: the index of an image for several platforms, which is called by its
    digest alone. `str()` is the tag, `DIGEST-TIMESTAMP` or `DIGEST`.
    """

    digest: str
    timestamp: int = 0

    @classmethod
    def parse(cls, tag: str) -> StageId | None:
        """The stage that a tag names, or None: then it is something else."""
        found = _TAG.fullmatch(tag)
        return None if found is None else cls(found[1], int(found[2] or 0))

    @property
    def is_index(self) -> bool:
        """Whether it is an index of the images of several platforms."""
        return not self.timestamp

    def __str__(self) -> str:
        return f"{self.digest}-{self.timestamp}" if self.timestamp else self.digest


class StageDescription(msgspec.Struct, frozen=True):
    """A published stage, or an index; all of it is immutable.

    `repo` is the repository, or the project's name in local storage; `image_id` the digest of the config (of an index:
    its own), `manifest` that of the manifest as the registry has it (None: local). `created` is in nanoseconds since
    1970, of the image itself, not of its publishing. `size` is that of all layers in bytes: compressed ones in a
    registry. An index has no time, size, labels and platform of its own; its images are `members`, by the digests of
    their manifests.
    """

    id: StageId
    repo: str
    image_id: Digest
    manifest: Digest | None = None
    created: int = 0
    size: int = 0
    labels: dict[str, str] = {}
    platform: str = ""
    members: tuple[Digest, ...] = ()

    @property
    def tag(self) -> str:
        """The tag in the repository."""
        return str(self.id)

    @property
    def name(self) -> str:
        """`REPO:TAG`."""
        return f"{self.repo}:{self.id}"

    @property
    def commit(self) -> str:
        """The head commit when it was built, or empty."""
        return self.labels.get(COMMIT_LABEL, "")

    @property
    def content_digest(self) -> str:
        """The content digest of the image up to this stage, or empty."""
        return self.labels.get(CONTENT_DIGEST_LABEL, "")

    @property
    def parent(self) -> StageId | None:
        """The stage before this one; None: it is the first one."""
        return StageId.parse(self.labels.get(PARENT_LABEL, ""))

    @property
    def sources(self) -> tuple[StageId, ...]:
        """The stages of its own image from which files were taken."""
        return self._stages(_SOURCE)

    @property
    def dependencies(self) -> tuple[StageId, ...]:
        """The stages of other images of the project that went into it."""
        return self._stages(_DEPENDENCY)

    @property
    def import_sources(self) -> tuple[StageId, ...]:
        """The stages from which it imported files."""
        return self._stages(_IMPORT_SOURCE)

    def _stages(self, prefix: str) -> tuple[StageId, ...]:
        found = [StageId.parse(value) for key, value in self.labels.items() if key.startswith(prefix)]
        return tuple(stage for stage in found if stage is not None)
