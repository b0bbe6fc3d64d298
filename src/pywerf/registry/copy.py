"""Copying an image, or an index with all its images, from any place to any place."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from pywerf.errors import InvalidDocument, RegistryNotFound
from pywerf.oci import media_types
from pywerf.oci.descriptor import Descriptor
from pywerf.oci.digest import Digest
from pywerf.oci.image_io import ImageDestination, ImageSource
from pywerf.oci.manifest import Index, Manifest, parse_manifest
from pywerf.oci.media_types import Compression
from pywerf.oci.platform import Platform, host_platform
from pywerf.registry.parallel import guarded, run_all
from pywerf.registry.verify import closing

__all__ = ["DEFAULT_JOBS", "Progress", "copy_image", "is_foreign", "select_manifest", "wanted_compression"]

# A short digest, how many of its bytes have passed, and how many there are. Called from several threads.
Progress = Callable[[str, int, int], None]

DEFAULT_JOBS = 4
MAX_DEPTH = 4  # of indexes in indexes


def copy_image(
    source: ImageSource,
    destination: ImageDestination,
    *,
    platform: Platform | None = None,
    all_platforms: bool = False,
    progress: Progress | None = None,
    jobs: int = DEFAULT_JOBS,
) -> Digest:
    """Copy the image for `platform` (None: this machine's) or all of them; the digest of what the copy's name means.

    Blobs that are there already are not read. Manifests keep their bytes. The caller closes the
    destination, also after an error. Raises what the two sides raise, and RegistryNotFound when there is
    no image for the platform.
    """
    data, media_type = source.manifest()
    parsed = parse_manifest(data, media_type)
    if isinstance(parsed, Index) and not all_platforms:
        _, data, media_type, parsed = select_manifest(source, platform)
    if getattr(destination, "sequential", False):
        jobs = 1
    return _copy(source, destination, data, parsed, progress, jobs, depth=0, done=set())


def select_manifest(source: ImageSource, platform: Platform | None) -> tuple[Digest, bytes, str, Manifest]:
    """Digest, bytes, media type and value of the manifest for a platform, through indexes if need be."""
    wanted = platform or host_platform()
    data, media_type = source.manifest()
    digest = Digest.of(data)
    for _ in range(MAX_DEPTH):
        parsed = parse_manifest(data, media_type)
        if isinstance(parsed, Manifest):
            return digest, data, parsed.media_type, parsed
        chosen = parsed.select(wanted)
        if chosen is None and len(parsed.manifests) == 1 and parsed.manifests[0].media_type in media_types.INDEXES:
            chosen = parsed.manifests[0]
        if chosen is None:
            there = sorted(
                {str(item.platform) for item in parsed.manifests if item.platform and item.platform.os != "unknown"}
            )
            raise RegistryNotFound(
                f"no image for {wanted} in the index {digest}",
                hint=f"there are images for {', '.join(there) or 'no platform at all'}; choose one with --platform",
            )
        digest = chosen.digest
        data, media_type = source.manifest(digest)
        media_type = media_type or chosen.media_type
    raise InvalidDocument(f"index {digest}: more than {MAX_DEPTH} indexes in each other")


def wanted_compression(destination: ImageDestination) -> Compression | None:
    """How layers should come to a destination: a compression that saves it work, or None for any."""
    wanted: Compression | None = getattr(destination, "layer_compression", None)
    return wanted


def is_foreign(layer: Descriptor) -> bool:
    """Whether a layer is to be fetched from addresses of its own (Windows base layers): it is never copied."""
    return bool(layer.urls) and ("nondistributable" in layer.media_type or ".foreign." in layer.media_type)


def _copy(
    source: ImageSource,
    destination: ImageDestination,
    data: bytes,
    parsed: Manifest | Index,
    progress: Progress | None,
    jobs: int,
    depth: int,
    done: set[Digest],
) -> Digest:
    if isinstance(parsed, Index):
        if depth >= MAX_DEPTH:
            raise InvalidDocument(f"more than {MAX_DEPTH} indexes in each other")
        for item in parsed.manifests:
            if item.digest in done:  # indexes that name each other many times must not take for ever
                continue
            done.add(item.digest)
            inner, media_type = source.manifest(item.digest)
            child = parse_manifest(inner, media_type or item.media_type)
            _copy(source, destination, inner, child, progress, jobs, depth + 1, done)
    else:
        unique = {layer.digest: layer for layer in parsed.layers if not is_foreign(layer)}
        run_all([_transfer(source, destination, layer, progress) for layer in unique.values()], jobs)
        _transfer(source, destination, parsed.config, None)(threading.Event())
    return destination.put_manifest(data, parsed.media_type, top=depth == 0)


def _transfer(
    source: ImageSource, destination: ImageDestination, blob: Descriptor, progress: Progress | None
) -> Callable[[threading.Event], None]:
    def transfer(stop: threading.Event) -> None:
        if destination.has_blob(blob):
            if progress is not None:
                progress(blob.digest.short, blob.size, blob.size)
            return
        destination.put_blob(blob, lambda: guarded(counted(source.blob(blob), blob, progress), stop))

    return transfer


def counted(chunks: Iterator[bytes], blob: Descriptor, progress: Progress | None) -> Iterator[bytes]:
    """The chunks, reported as they pass."""
    if progress is None:
        yield from chunks
        return
    done = 0
    progress(blob.digest.short, 0, blob.size)
    with closing(chunks):
        for chunk in chunks:
            done += len(chunk)
            yield chunk
            progress(blob.digest.short, done, blob.size)
