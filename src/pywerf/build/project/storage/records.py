"""The records of a repository as values: which tag each has, and which labels.

    managed-image-NAME           an image of the project's, once or now
    meta-HASH_COMMIT_STAGEID     an image had this stage at this commit
    custom-tag-meta-SLUG         a custom tag and the stage that it was given to
    import-metadata-ID           what a stage imported
    client-id-ID-MILLISECONDS    who the builders of this repository are for a lock server
    cleanup                      when the repository was last cleaned up
    DIGEST-TIMESTAMP-rejected    model.py

`X.of(tag)` reads what is in the tag itself, without a request; the rest is in the labels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from pywerf.build.project.storage.model import StageId
from pywerf.util.murmur3 import murmur3_hex
from pywerf.util.slug import is_docker_tag, slug

if TYPE_CHECKING:
    from pywerf.build.project.storage.base import TagRecords

__all__ = [
    "CLEANUP",
    "ClientId",
    "CustomTag",
    "ImageMetadata",
    "ImportMetadata",
    "ManagedImage",
    "client_ids",
    "custom_tags",
    "image_hash",
    "image_metadata",
    "import_metadata",
    "is_record",
    "last_cleanup",
    "managed_images",
    "note_cleanup",
]

CLEANUP = "cleanup"
_MANAGED = "managed-image-"
_META = "meta-"
_CUSTOM = "custom-tag-meta-"
_IMPORT = "import-metadata-"
_CLIENT = "client-id-"
_NAMELESS = "__nameless__"
_CUT = "__cut__"
_ESCAPES = (("/", "__slash__"), (" ", "__space__"), ("+", "__plus__"))

NAME_LABEL = "werf-image-name"
TAG_LABEL = "werf-custom-tag"
STAGE_LABEL = "werf-custom-tag-stage-id"
IMPORT_ID_LABEL = "werf-import-id"
IMPORT_SOURCE_LABEL = "werf-import-source-stage-id"
IMPORT_CHECKSUM_LABEL = "werf-import-checksum"
CLEANUP_LABEL = "werf-last-cleanup"


def is_record(tag: str) -> bool:
    """Whether a tag is one of werf's own that are no stages; anything else is a custom tag, or not werf's."""
    return (
        tag in (CLEANUP, "sync-server")
        or tag.startswith((_MANAGED, _META, _CUSTOM, _IMPORT, _CLIENT))
        or (tag.endswith("-rejected") and StageId.parse(tag.removesuffix("-rejected")) is not None)
    )


class ManagedImage(msgspec.Struct, frozen=True, order=True):
    """An image of the project's, which cleanup counts among them when werf.yaml has it no more."""

    name: str

    @property
    def tag(self) -> str:
        """`managed-image-NAME`: signs that a tag cannot have are in words; a name that is no tag is its hash alone."""
        name = self.name or _NAMELESS
        for sign, word in _ESCAPES:
            name = name.replace(sign, word)
        whole = _MANAGED + name
        return whole if is_docker_tag(whole) else f"{_MANAGED}{_CUT}{murmur3_hex(self.name)}"

    @property
    def labels(self) -> dict[str, str]:
        """The whole name."""
        return {NAME_LABEL: self.name}

    @classmethod
    def of(cls, tag: str) -> ManagedImage | None:
        """The record of a tag; None: it is another one, or its name is in the labels alone."""
        name = tag.removeprefix(_MANAGED)
        if name == tag or name.startswith(_CUT):
            return None
        if name == _NAMELESS:
            return cls("")
        for sign, word in _ESCAPES:
            name = name.replace(word, sign)
        return cls(name)


def image_hash(name: str) -> str:
    """What `meta-…` calls an image."""
    return murmur3_hex(name)


class ImageMetadata(msgspec.Struct, frozen=True, order=True):
    """An image (`hash`: see image_hash) had a stage, or an index, at a commit: what cleanup by git history goes by."""

    hash: str
    commit: str
    stage: StageId

    @property
    def tag(self) -> str:
        """`meta-HASH_COMMIT_STAGEID`."""
        return f"{_META}{self.hash}_{self.commit}_{self.stage}"

    @property
    def labels(self) -> dict[str, str]:
        """All is in the tag."""
        return {}

    @classmethod
    def of(cls, tag: str) -> ImageMetadata | None:
        """The record of a tag, or None: it is another one."""
        if not tag.startswith(_META):
            return None
        hashed, _, rest = tag.removeprefix(_META).partition("_")
        commit, _, name = rest.partition("_")
        stage = StageId.parse(name)
        return None if stage is None or not hashed or not commit else cls(hashed, commit, stage)


class CustomTag(msgspec.Struct, frozen=True, order=True):
    """A custom tag, and the stage or index that it means."""

    name: str
    stage: StageId

    @property
    def tag(self) -> str:
        """`custom-tag-meta-SLUG`."""
        return custom_tag_record(self.name)

    @property
    def labels(self) -> dict[str, str]:
        """The tag as it is, and the stage."""
        return {TAG_LABEL: self.name, STAGE_LABEL: str(self.stage)}

    @classmethod
    def read(cls, labels: Mapping[str, str]) -> CustomTag | None:
        """The record with these labels, or None: they are damaged, or those of another one."""
        stage = StageId.parse(labels.get(STAGE_LABEL, ""))
        name = labels.get(TAG_LABEL, "")
        return None if stage is None or not name else cls(name, stage)


def custom_tag_record(name: str) -> str:
    """The tag of the record of a custom tag."""
    longest = 128 - len(_CUSTOM)
    short = name if len(name) <= longest else f"{name[: longest - 9]}-{murmur3_hex(name)}"
    return _CUSTOM + slug(short, "docker-tag")


class ImportMetadata(msgspec.Struct, frozen=True, order=True):
    """What a stage imported: the checksum of files (`id` tells which) of the image that a stage is."""

    id: str
    source: StageId
    checksum: str = ""

    @property
    def tag(self) -> str:
        """`import-metadata-ID`."""
        return _IMPORT + self.id

    @property
    def labels(self) -> dict[str, str]:
        """The id, the stage, and the checksum."""
        return {
            IMPORT_ID_LABEL: self.id,
            IMPORT_SOURCE_LABEL: str(self.source),
            IMPORT_CHECKSUM_LABEL: self.checksum,
        }

    @classmethod
    def read(cls, labels: Mapping[str, str]) -> ImportMetadata | None:
        """The record with these labels, or None: they are damaged, or the source is an image from elsewhere."""
        source = StageId.parse(labels.get(IMPORT_SOURCE_LABEL, ""))
        name = labels.get(IMPORT_ID_LABEL, "")
        return None if source is None or not name else cls(name, source, labels.get(IMPORT_CHECKSUM_LABEL, ""))


class ClientId(msgspec.Struct, frozen=True, order=True):
    """Who the builders of a repository are for a lock server; of several records the oldest counts."""

    milliseconds: int
    id: str

    @property
    def tag(self) -> str:
        """`client-id-ID-MILLISECONDS`."""
        return f"{_CLIENT}{self.id}-{self.milliseconds}"

    @property
    def labels(self) -> dict[str, str]:
        """All is in the tag."""
        return {}

    @classmethod
    def of(cls, tag: str) -> ClientId | None:
        """The record of a tag, or None: it is another one."""
        if not tag.startswith(_CLIENT):
            return None
        name, _, milliseconds = tag.removeprefix(_CLIENT).rpartition("-")
        return cls(int(milliseconds), name) if name and milliseconds.isdecimal() else None


def managed_images(records: TagRecords) -> list[ManagedImage]:
    """The images that the repository knows as the project's, sorted."""
    known = {found for tag in records.tags() if (found := ManagedImage.of(tag)) is not None}
    for tag in records.tags():
        if tag.startswith(_MANAGED + _CUT):
            labels = records.read(tag)
            if labels is not None and NAME_LABEL in labels:
                known.add(ManagedImage(labels[NAME_LABEL]))
    return sorted(known)


def image_metadata(records: TagRecords) -> list[ImageMetadata]:
    """All records of which image had which stage at which commit."""
    return sorted(found for tag in records.tags() if (found := ImageMetadata.of(tag)) is not None)


def client_ids(records: TagRecords, *, fresh: bool = False) -> list[ClientId]:
    """The ids for lock servers, the oldest first."""
    return sorted(found for tag in records.tags(fresh=fresh) if (found := ClientId.of(tag)) is not None)


def custom_tags(records: TagRecords) -> list[CustomTag]:
    """The custom tags that werf has given; one request each."""
    found = [records.read(tag) for tag in records.tags() if tag.startswith(_CUSTOM)]
    read = [CustomTag.read(labels) for labels in found if labels is not None]
    return sorted(record for record in read if record is not None)


def import_metadata(records: TagRecords) -> list[ImportMetadata]:
    """What stages have imported of other stages; one request each."""
    found = [records.read(tag) for tag in records.tags() if tag.startswith(_IMPORT)]
    read = [ImportMetadata.read(labels) for labels in found if labels is not None]
    return sorted(record for record in read if record is not None)


def last_cleanup(records: TagRecords) -> int | None:
    """When the repository was last cleaned up, in milliseconds since 1970; None: never."""
    labels = records.read(CLEANUP) if CLEANUP in records.tags() else None
    text = "" if labels is None else labels.get(CLEANUP_LABEL, "")
    return int(text) if text.isdecimal() else None


def note_cleanup(records: TagRecords, milliseconds: int) -> None:
    """Write down that the repository has been cleaned up."""
    records.write(CLEANUP, {CLEANUP_LABEL: str(milliseconds)})
