"""`build --manifest LIST`: the images of a build join a list (an index), which is made when it is missing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from pywerf.build.names import full_name
from pywerf.build.platforms import descriptors, make_index
from pywerf.errors import BuildError, ImageNotFound
from pywerf.oci.manifest import Index, parse_manifest
from pywerf.oci.media_types import ImageFormat
from pywerf.oci.platform import Platform

if TYPE_CHECKING:
    from pywerf.build.session import Session
    from pywerf.store.images import ImageRecord

__all__ = ["add_to_list", "list_name"]


def list_name(session: Session, name: str) -> str:
    """The full name of a list. Raises InvalidReference, and BuildError when an image has the name."""
    full = full_name(name)
    _existing(session, full)
    return full


def add_to_list(
    session: Session, name: str, built: Sequence[tuple[Platform, ImageRecord]], image_format: ImageFormat
) -> ImageRecord:
    """Add images, each with its platform, to the list of that full name; those that it has are not added again.

    Builds that add to one list at a time wait for one another. Raises BuildError when an image has the name.
    """
    images = session.store.images
    with session.store.lock(f"list {name}"):
        known = _existing(session, name)
        if known is None:
            return make_index(session, built, (name,), image_format)
        old, index = known
        has = {item.digest for item in index.manifests}
        new = tuple(item for item in descriptors(session, built) if item.digest not in has)
        if not new:
            return old
        joined = msgspec.structs.replace(index, manifests=(*index.manifests, *new))
        size = old.size + sum(record.size for _, record in built if record.manifest_digest not in has)
        record = images.put_index(joined.to_json(), joined.media_type, (name,), size=size, labels=old.labels)
        left = images.get(old.id)
        if left is not None and not left.names:  # a list is one image, whatever has been added to it
            images.remove(old.id, force=True)
        return record


def _existing(session: Session, name: str) -> tuple[ImageRecord, Index] | None:
    try:
        record = session.store.images.resolve(name)
    except ImageNotFound:
        return None
    document = parse_manifest(session.store.blobs.read(record.manifest_digest), record.media_type)
    if not isinstance(document, Index):
        raise BuildError(
            f"--manifest {name}: an image has this name, not a manifest list",
            hint=f"take another name, or remove the image: werf buildah untag {name}",
        )
    return record, document
