"""`build --all-platforms`: the platforms that all base images of a build are there for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pywerf.build.names import LOCAL_HOST, local_candidates
from pywerf.errors import BuildError, ImageNotFound, RegistryError
from pywerf.oci.config import ImageConfig
from pywerf.oci.manifest import Index, parse_manifest
from pywerf.oci.platform import Platform
from pywerf.oci.reference import Reference

if TYPE_CHECKING:
    from pywerf.build.options import PullPolicy
    from pywerf.build.session import Session
    from pywerf.store.images import ImageRecord

__all__ = ["all_platforms", "common_platforms"]

_UNKNOWN = "unknown"  # what BuildKit's attestations have for a platform


def all_platforms(session: Session, images: Sequence[str], policy: PullPolicy) -> tuple[Platform, ...]:
    """The platforms that are common to all images. Raises BuildError when there are none, RegistryError."""
    if not images:
        raise BuildError(
            "--all-platforms: no stage stands on an image that could tell its platforms",
            hint="name the platforms: --platform linux/amd64,linux/arm64",
        )
    known = {image: _platforms(session, image, policy) for image in dict.fromkeys(images)}
    common = common_platforms(list(known.values()))
    if not common:
        told = "; ".join(f"{image}: {', '.join(map(str, found)) or 'none'}" for image, found in known.items())
        raise BuildError(f"--all-platforms: no platform is common to the base images ({told})")
    return common


def common_platforms(several: Sequence[Sequence[Platform]]) -> tuple[Platform, ...]:
    """Those of the first that something of each other can be taken for, each once."""
    first, *others = several
    return tuple(
        dict.fromkeys(
            wanted for wanted in first if all(any(one.satisfies(wanted) for one in other) for other in others)
        )
    )


def _platforms(session: Session, image: str, policy: PullPolicy) -> tuple[Platform, ...]:
    """Of an image in the registry; where that cannot be asked, or must not be, of what is here."""
    record = _local(session, image)
    if record is not None and (policy == "never" or _is_own(record)):
        return _of_record(session, record)
    if policy == "never":
        raise BuildError(f"{image}: no such image here, and --pull=never forbids to ask for it")
    try:
        return _remote(session, image)
    except RegistryError:
        if record is None:
            raise
        return _of_record(session, record)


def _local(session: Session, image: str) -> ImageRecord | None:
    try:
        return session.store.images.resolve_first(local_candidates(image))
    except ImageNotFound:
        return None


def _is_own(record: ImageRecord) -> bool:
    """Whether it was built here: there is no registry to ask."""
    return not record.names or any(name.startswith(f"{LOCAL_HOST}/") for name in record.names)


def _of_record(session: Session, record: ImageRecord) -> tuple[Platform, ...]:
    blobs = session.store.blobs
    document = parse_manifest(blobs.read(record.manifest_digest), record.media_type)
    if isinstance(document, Index):
        return _of_index(document)
    return (ImageConfig.from_json(blobs.read(document.config.digest)).platform,)


def _remote(session: Session, image: str) -> tuple[Platform, ...]:
    from pywerf.registry.pull import resolve_source

    source = session.registries().source(Reference.parse(image.removeprefix("docker://")))
    document = parse_manifest(*source.manifest())
    if isinstance(document, Index):
        return _of_index(document)
    return (resolve_source(source).config.platform,)


def _of_index(index: Index) -> tuple[Platform, ...]:
    found = (item.platform for item in index.manifests)
    return tuple(one for one in found if one is not None and _UNKNOWN not in (one.os, one.architecture))
