"""Images of several platforms under one name: an index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pywerf.oci import media_types
from pywerf.oci.descriptor import Descriptor
from pywerf.oci.manifest import Index
from pywerf.oci.platform import Platform

if TYPE_CHECKING:
    from pywerf.build.session import Session
    from pywerf.store.images import ImageRecord

__all__ = ["descriptors", "make_index"]


def descriptors(session: Session, built: Sequence[tuple[Platform, ImageRecord]]) -> tuple[Descriptor, ...]:
    """How images that have been built stand in an index."""
    has = session.store.blobs.has
    return tuple(
        Descriptor(record.media_type, record.manifest_digest, has(record.manifest_digest) or 0, platform=platform)
        for platform, record in built
    )


def make_index(
    session: Session,
    built: Sequence[tuple[Platform, ImageRecord]],
    names: Sequence[str],
    image_format: media_types.ImageFormat,
    labels: Mapping[str, str] | None = None,
) -> ImageRecord:
    """Store an index over images that have been built, in the order in which they were asked for.

    `labels` are those that the store finds it by.
    """
    kind = media_types.DOCKER_INDEX if image_format == "docker" else media_types.OCI_INDEX
    return session.store.images.put_index(
        *(Index(kind, descriptors(session, built)).to_json(), kind, names),
        size=sum(record.size for _, record in built),
        labels=labels,
    )
