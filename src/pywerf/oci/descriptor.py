"""Descriptors (OCI image-spec, descriptor.md)."""

from __future__ import annotations

import msgspec

from pywerf.oci.digest import Digest
from pywerf.oci.platform import Platform

__all__ = ["Descriptor"]


class Descriptor(msgspec.Struct, frozen=True):
    """What a blob is (media type), its digest, and its size in bytes."""

    media_type: str
    digest: Digest
    size: int
    platform: Platform | None = None
    annotations: tuple[tuple[str, str], ...] = ()
    urls: tuple[str, ...] = ()
