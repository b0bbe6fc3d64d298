"""`--metadata-file`: what came out of a build, in the JSON of `docker buildx build --metadata-file`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

from pywerf.errors import BuildError

if TYPE_CHECKING:
    from pywerf.build.build_images import BuildResult
    from pywerf.build.session import Session
    from pywerf.store.images import ImageRecord

__all__ = ["metadata", "write_metadata"]


def metadata(session: Session, record: ImageRecord, result: BuildResult) -> dict[str, object]:
    """The keys that buildx writes; an index has no config. `buildx.build.ref` ends with the id for `explain`."""
    size = session.store.blobs.has(record.manifest_digest) or 0
    descriptor: dict[str, object] = {
        "mediaType": record.media_type,
        "digest": str(record.manifest_digest),
        "size": size,
    }
    if record.platform is not None:
        platform = {"architecture": record.platform.architecture, "os": record.platform.os}
        if record.platform.variant:
            platform["variant"] = record.platform.variant
        descriptor["platform"] = platform
    found: dict[str, object] = {
        "buildx.build.ref": f"pywerf/pywerf/{result.build_id.partition('-')[2]}",
        "containerimage.descriptor": descriptor,
        "containerimage.digest": str(record.manifest_digest),
    }
    if not record.is_index:
        found["containerimage.config.digest"] = str(record.id)
    if result.names:
        found["image.name"] = ",".join(result.names)
    return dict(sorted(found.items()))


def write_metadata(session: Session, path: str, record: ImageRecord, result: BuildResult) -> None:
    """Write the file whole or not at all. Raises BuildError."""
    text = msgspec.json.format(msgspec.json.encode(metadata(session, record, result)), indent=2)
    new = f"{path}.{os.getpid()}.tmp"
    try:
        with open(new, "wb") as file:
            file.write(text + b"\n")
        os.replace(new, path)
    except OSError as error:
        raise BuildError(f"{path}: {error.strerror}") from error
