"""Image manifests and indexes (OCI image-spec manifest.md and image-index.md; Docker schema 2)."""

from __future__ import annotations

from typing import Any

import msgspec

from pywerf.errors import InvalidDocument
from pywerf.oci import media_types
from pywerf.oci.descriptor import Descriptor
from pywerf.oci.digest import Digest
from pywerf.oci.document import Fields, encode, load_object
from pywerf.oci.platform import Platform

__all__ = ["Index", "Manifest", "descriptor_from", "descriptor_json", "parse_manifest"]


class Manifest(msgspec.Struct, frozen=True):
    """One image of one platform: a config and its layers, bottom first."""

    media_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]
    annotations: dict[str, str] = {}
    artifact_type: str = ""
    subject: Descriptor | None = None

    def to_json(self) -> bytes:
        """The document's bytes: the same for equal manifests."""
        out: dict[str, Any] = {"schemaVersion": 2, "mediaType": self.media_type}
        if self.artifact_type:
            out["artifactType"] = self.artifact_type
        out["config"] = descriptor_json(self.config)
        out["layers"] = [descriptor_json(layer) for layer in self.layers]
        if self.subject is not None:
            out["subject"] = descriptor_json(self.subject)
        if self.annotations:
            out["annotations"] = dict(sorted(self.annotations.items()))
        return encode(out)


class Index(msgspec.Struct, frozen=True):
    """A list of manifests, mostly one a platform (Docker: manifest list)."""

    media_type: str
    manifests: tuple[Descriptor, ...]
    annotations: dict[str, str] = {}

    def to_json(self) -> bytes:
        """The document's bytes: the same for equal indexes."""
        out: dict[str, Any] = {"schemaVersion": 2, "mediaType": self.media_type}
        out["manifests"] = [descriptor_json(item) for item in self.manifests]
        if self.annotations:
            out["annotations"] = dict(sorted(self.annotations.items()))
        return encode(out)

    def select(self, wanted: Platform) -> Descriptor | None:
        """The manifest for a platform: an exact match first, else the best that satisfies it."""
        best: Descriptor | None = None
        for item in self.manifests:
            if item.platform is None or item.media_type not in media_types.MANIFESTS:
                continue
            if item.platform == wanted:
                return item
            if item.platform.satisfies(wanted) and (
                best is None or best.platform is None or item.platform.variant > best.platform.variant
            ):
                best = item
        if best is None and len(self.manifests) == 1 and self.manifests[0].platform is None:
            return self.manifests[0]
        return best


def parse_manifest(data: bytes, media_type: str = "", what: str = "manifest") -> Manifest | Index:
    """Read a manifest or an index. `media_type` is what its sender called it, or empty.

    Raises InvalidDocument, also for Docker's schema 1, which nobody should serve any more.
    """
    fields = load_object(data, what)
    if fields.get("schemaVersion", int, 2) != 2:
        raise InvalidDocument(f"{what}: schema version 1 is not supported", hint="push the image again")
    kind = fields.get("mediaType", str, "") or media_type.partition(";")[0].strip()
    if kind not in media_types.INDEXES and kind not in media_types.MANIFESTS:
        kind = media_types.OCI_INDEX if "manifests" in fields.value else media_types.OCI_MANIFEST
    if kind in media_types.INDEXES:
        if "layers" in fields.value or "config" in fields.value:
            raise InvalidDocument(f"{what}: an index with the fields of a manifest")
        return Index(
            media_type=kind,
            manifests=tuple(descriptor_from(item) for item in fields.objects("manifests")),
            annotations=fields.string_map("annotations"),
        )
    if "manifests" in fields.value:
        raise InvalidDocument(f"{what}: a manifest with the fields of an index")
    config = fields.object("config")
    if config is None:
        raise InvalidDocument(f"{what}.config: missing")
    subject = fields.object("subject")
    return Manifest(
        media_type=kind,
        config=descriptor_from(config),
        layers=tuple(descriptor_from(item) for item in fields.objects("layers")),
        annotations=fields.string_map("annotations"),
        artifact_type=fields.get("artifactType", str, ""),
        subject=None if subject is None else descriptor_from(subject),
    )


def descriptor_from(fields: Fields) -> Descriptor:
    """A descriptor from its JSON object."""
    size = fields.need("size", int)
    if size < 0:
        raise InvalidDocument(f"{fields.where}.size: {size} is negative")
    platform = fields.object("platform")
    return Descriptor(
        media_type=fields.get("mediaType", str, ""),
        digest=Digest.parse(fields.need("digest", str)),
        size=size,
        platform=None
        if platform is None
        else Platform.of(
            platform.get("os", str, ""),
            platform.get("architecture", str, ""),
            platform.get("variant", str, ""),
        ),
        annotations=tuple(sorted(fields.string_map("annotations").items())),
        urls=fields.strings("urls") or (),
    )


def descriptor_json(descriptor: Descriptor) -> dict[str, Any]:
    """A descriptor as a JSON object."""
    out: dict[str, Any] = {
        "mediaType": descriptor.media_type,
        "digest": str(descriptor.digest),
        "size": descriptor.size,
    }
    if descriptor.urls:
        out["urls"] = list(descriptor.urls)
    if descriptor.annotations:
        out["annotations"] = dict(descriptor.annotations)
    platform = descriptor.platform
    if platform is not None:
        out["platform"] = {"architecture": platform.architecture, "os": platform.os}
        if platform.variant:
            out["platform"]["variant"] = platform.variant
    return out
