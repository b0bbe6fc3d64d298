"""Digests of stages: what each is made from, in 56 hexadecimal digits. Other input, other digest, other image.

A digest is SHA3-224 over its parts, joined by `:::`. The scheme is our own (VERSION), so that pywerf and werf can share
a repository: neither takes the other's stages for its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import msgspec

from pywerf.build.project.storage.model import StageId
from pywerf.config.werf_yaml.model import ImageSpec

__all__ = ["VERSION", "canonical", "content_digest", "image_spec_parts", "index_digest", "sha256_of", "stage_digest"]

VERSION = "pywerf 1"
"""In every digest. Another one means that all stages of all projects are built again."""

_USUAL = "linux/amd64"

# Fields that tell where something is written, or how: they change no image.
_WRITTEN = frozenset(("keyword", "code", "source", "comments", "comment", "raw", "legacy"))


def stage_digest(name: str, parts: Sequence[str], *, platform: str, previous: str = "") -> str:
    """The digest of a stage: of its name, of what it is made from, and of the stage before it (its digest)."""
    return _sha3(*_head(platform), name, *parts, *((previous, "") if previous else ()))


def content_digest(last: str, digest: str, *, platform: str) -> str:
    """The content digest of an image whose last stage is called `last` and has `digest`."""
    return _sha3(*_head(platform), f"{last}-content", "", digest, "")


def index_digest(stages: Iterable[tuple[str, StageId]]) -> str:
    """The digest of an image for several platforms: of the last stage of each (platform, stage)."""
    return _sha3(*(str(stage) for _, stage in sorted(stages)))


def image_spec_parts(spec: ImageSpec, *, image: str, project: str) -> list[str]:
    """What the stage imageSpec is made from. Its labels may have the names of image and project in them."""
    names = [image, project] if any("%" in key + value for key, value in spec.labels) else []
    encoded = canonical(spec)
    return [msgspec.json.encode(encoded, order="deterministic").decode(), *names]


def sha256_of(*parts: str) -> str:
    """SHA-256 of parts joined by `:::`, in hexadecimal."""
    return hashlib.sha256(":::".join(parts).encode("utf-8", "surrogateescape")).hexdigest()


def canonical(value: object) -> object:
    """A value as JSON could have it: structs without the fields that have their default, and without places in files.

    A field that is added later changes no digest as long as it has its default.
    """
    if isinstance(value, msgspec.Struct):
        return {
            "": type(value).__name__,
            **{
                field.name: canonical(given)
                for field in msgspec.structs.fields(value)
                if field.name not in _WRITTEN and (given := getattr(value, field.name)) != _default(field)
            },
        }
    if isinstance(value, tuple | list):
        return [canonical(item) for item in value]
    if isinstance(value, frozenset):
        return sorted(str(item) for item in value)
    return value


def _default(field: msgspec.structs.FieldInfo) -> object:
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return field.default


def _head(platform: str) -> tuple[str, ...]:
    return (VERSION,) if platform in ("", _USUAL) else (platform, VERSION)


def _sha3(*parts: str) -> str:
    return hashlib.sha3_224(":::".join(parts).encode("utf-8", "surrogateescape")).hexdigest()
