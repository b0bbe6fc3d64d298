"""The document of a cache: its records as JSON, read with suspicion, merged with those of other builders.

It is the config blob of an OCI image manifest whose layers are the layers of the records. `key` and `alias` name a
result: the key by the content of all that a step works on, the alias by the layers that other stages came to (so
that a hit can be had without their files).
"""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Iterable, Sequence
from typing import Annotated

import msgspec

from pywerf.errors import InvalidDocument, InvalidValue
from pywerf.oci.descriptor import Descriptor
from pywerf.oci.digest import Digest
from pywerf.oci.document import json_decoder
from pywerf.oci.media_types import layer_compression

__all__ = [
    "ANNOTATION",
    "ARTIFACT_TYPE",
    "CONFIG_TYPE",
    "CacheDocument",
    "LayerBlob",
    "MountRecord",
    "StepRecord",
    "blobs_of",
    "checked",
    "decode",
    "encode",
    "is_time",
    "merge",
]

ARTIFACT_TYPE = "application/vnd.pywerf.cache.v1"
CONFIG_TYPE = "application/vnd.pywerf.cache.config.v1+json"
ANNOTATION = "vnd.pywerf.cache.v1"  # of an image that carries the records of its own layers

_MAX_RECORDS = 2000
_MAX_IMAGES = 200
_MAX_BYTES = 4 << 20
_FRESH = 86400  # seconds: a younger mark of use is near enough

_Text = Annotated[str, msgspec.Meta(max_length=512)]
_Hex = Annotated[str, msgspec.Meta(min_length=64, max_length=64, pattern="^[0-9a-f]+$")]
_Count = Annotated[int, msgspec.Meta(ge=0, lt=1 << 53)]


class LayerBlob(msgspec.Struct, frozen=True, rename="camel"):
    """A layer as it is stored, in the form of a descriptor."""

    media_type: _Text
    digest: _Text
    size: _Count

    @classmethod
    def of(cls, descriptor: Descriptor) -> LayerBlob:
        """The layer of a descriptor."""
        return cls(descriptor.media_type, str(descriptor.digest), descriptor.size)

    @property
    def descriptor(self) -> Descriptor:
        """It as a descriptor. Raises InvalidDigest."""
        return Descriptor(self.media_type, Digest.parse(self.digest), self.size)


class StepRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a step came to. `layer` is None where it changed nothing; `parent` names the layers below it (a chain id).

    `made` is when the step was done, `used` when a build last had its result, in seconds since the epoch.
    """

    key: _Hex
    definition: _Hex
    diff_id: _Text
    size: _Count
    created: Annotated[str, msgspec.Meta(max_length=40)]
    layer: LayerBlob | None = None
    parent: _Text = ""
    alias: Annotated[str, msgspec.Meta(max_length=64)] = ""
    shape: _Text = ""
    components: dict[_Text, Annotated[str, msgspec.Meta(max_length=1 << 15)]] = {}
    made: _Count = 0
    used: _Count = 0

    def same_result(self, other: StepRecord | None) -> bool:
        """Whether both lead to the same layer in the same form."""
        return other is not None and (self.diff_id, self.layer, self.alias) == (other.diff_id, other.layer, other.alias)


class MountRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """The files of a cache mount, as a layer. `name` is what the engine calls it: caches may have one `id`, but differ

    in what they begin with.
    """

    id: Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]
    name: _Hex
    diff_id: _Text
    layer: LayerBlob
    used: _Count = 0


class CacheDocument(msgspec.Struct, frozen=True):
    """A whole cache. `images`: when an image with this config (its digest without times) was first made."""

    version: int = 1
    records: tuple[StepRecord, ...] = ()
    mounts: tuple[MountRecord, ...] = ()
    images: dict[_Text, Annotated[str, msgspec.Meta(max_length=40)]] = {}


def decode(data: bytes | str, what: str) -> CacheDocument:
    """Read a document. Raises InvalidDocument for anything that is none."""
    try:
        document = json_decoder(_Versioned).decode(data)
        if document.version != 1:
            raise InvalidDocument(
                f"{what}: version {document.version} of the format is not known",
                hint="a newer pywerf has written it; write to another name",
            )
        return json_decoder(CacheDocument).decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise InvalidDocument(f"{what}: not the document of a cache: {error}") from error


def encode(document: CacheDocument) -> tuple[CacheDocument, bytes]:
    """The document as it is written, and its bytes: the same for equal documents.

    Those used longest ago are left out where it would be too large.
    """
    data = msgspec.json.encode(document)
    while len(data) > _MAX_BYTES and document.records:
        kept = _by_use(document.records)[: len(document.records) * 3 // 4]
        document = msgspec.structs.replace(document, records=_by_key(kept))
        data = msgspec.json.encode(document)
    return document, data


class _Versioned(msgspec.Struct):
    version: int


@functools.cache
def _time_format() -> re.Pattern[str]:
    return re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d))?")


def checked(document: CacheDocument, layers: Iterable[Descriptor]) -> tuple[CacheDocument, int]:
    """The document without what cannot be right, and how many entries that were.

    `layers` are those of the manifest: a record whose layer is not among them could not be verified.
    """
    there = {(str(layer.digest), layer.size) for layer in layers}
    records = tuple(record for record in document.records if _is_right(record, there))
    mounts = tuple(mount for mount in document.mounts if _blob_is_right(mount.layer, mount.diff_id, there))
    images = {key: created for key, created in document.images.items() if created and is_time(created)}
    refused = sum(map(len, (document.records, document.mounts, document.images)))
    refused -= len(records) + len(mounts) + len(images)
    return CacheDocument(1, records, mounts, images), refused


def is_time(text: str) -> bool:
    """Whether a text can stand as a time in an image's history: RFC 3339, or nothing."""
    return _time_format().fullmatch(text) is not None


def _is_right(record: StepRecord, there: set[tuple[str, int]]) -> bool:
    if not is_time(record.created):
        return False
    try:
        Digest.parse(record.diff_id)
        if record.parent:
            Digest.parse(record.parent)
    except InvalidValue:
        return False
    return record.layer is None or _blob_is_right(record.layer, record.diff_id, there)


def _blob_is_right(layer: LayerBlob, diff_id: str, there: set[tuple[str, int]]) -> bool:
    compression = layer_compression(layer.media_type)
    try:
        Digest.parse(layer.digest)
        Digest.parse(diff_id)
    except InvalidValue:
        return False
    if compression is None or (compression == "none" and layer.digest != diff_id):
        return False
    return (layer.digest, layer.size) in there


def merge(ours: CacheDocument, theirs: CacheDocument | None) -> CacheDocument | None:
    """Both in one, ours before theirs where they disagree; None when theirs has it all.

    The records used longest ago are left out when there are too many.
    """
    theirs = theirs or CacheDocument()
    records = {record.key: record for record in theirs.records}
    mounts = {mount.name: mount for mount in theirs.mounts}
    now = int(time.time())
    changed = False
    for record in ours.records:
        known = records.get(record.key)
        if known is None or not record.same_result(known) or known.used < now - _FRESH:
            records[record.key] = record
            changed = True
    for mount in ours.mounts:
        old = mounts.get(mount.name)
        if old is None or old.diff_id != mount.diff_id or old.used < now - _FRESH:
            mounts[mount.name] = mount
            changed = True
    images = {**theirs.images}
    for key, created in ours.images.items():
        if key not in images:
            images[key] = created
            changed = True
    if not changed:
        return None
    kept = _by_use(records.values())[:_MAX_RECORDS]
    return CacheDocument(
        1,
        _by_key(kept),
        tuple(mounts[name] for name in sorted(mounts)),
        dict(list(images.items())[-_MAX_IMAGES:]),
    )


def blobs_of(document: CacheDocument) -> tuple[Descriptor, ...]:
    """The layers of a document, each once: what its manifest lists."""
    layers = [record.layer for record in document.records if record.layer is not None]
    layers += [mount.layer for mount in document.mounts]
    return tuple({layer.digest: layer.descriptor for layer in layers}.values())


def _by_use(records: Iterable[StepRecord]) -> list[StepRecord]:
    return sorted(records, key=lambda record: (-record.used, record.key))


def _by_key(records: Sequence[StepRecord]) -> tuple[StepRecord, ...]:
    return tuple(sorted(records, key=lambda record: record.key))
