"""What an engine needs of an image before, and when, it needs its layers: resolve first, fetch later."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence

import msgspec

from pywerf.errors import InvalidDocument
from pywerf.oci.config import ImageConfig
from pywerf.oci.descriptor import Descriptor
from pywerf.oci.digest import Digest
from pywerf.oci.image_io import ImageSource
from pywerf.oci.manifest import Manifest
from pywerf.oci.platform import Platform
from pywerf.oci.reference import Reference
from pywerf.registry.access import RegistryAccess
from pywerf.registry.copy import DEFAULT_JOBS, Progress, counted, select_manifest
from pywerf.registry.docker_registry import RegistrySource
from pywerf.registry.parallel import guarded, run_all
from pywerf.registry.transports import open_source, parse_transport
from pywerf.registry.verify import read_document

__all__ = ["LayerSink", "ResolvedImage", "fetch_layers", "resolve_image", "resolve_source"]

# Takes one layer: its descriptor and its chunks. It is called on several threads.
LayerSink = Callable[[Descriptor, Iterator[bytes]], None]


class ResolvedImage(msgspec.Struct, frozen=True):
    """An image of one platform without its layers.

    `reference` is its full name (None for one that is in no registry), `digest` its manifest's,
    `top_digest` that of what the name means: the index, where there is one, else the same.
    """

    reference: Reference | None
    digest: Digest
    top_digest: Digest
    manifest: Manifest
    manifest_bytes: bytes
    config: ImageConfig
    config_bytes: bytes
    source: ImageSource


def resolve_image(name: str, access: RegistryAccess, platform: Platform | None = None) -> ResolvedImage:
    """Find the image that a name (with any transport, or short) means, and read its manifest and config.

    Two or three small requests; no layer is touched. Raises RegistryNotFound, RegistryUnauthorized,
    RegistryError, InvalidReference, DigestMismatch.
    """
    source = open_source(parse_transport(name), access)
    return resolve_source(source, platform, source.name if isinstance(source, RegistrySource) else None)


def resolve_source(
    source: ImageSource, platform: Platform | None = None, reference: Reference | None = None
) -> ResolvedImage:
    """The image of a source for a platform (None: this machine's). A single image is taken whatever its platform."""
    top, _ = source.manifest()
    digest, data, _, manifest = select_manifest(source, platform)
    config = read_document(source.blob(manifest.config), manifest.config, f"config {manifest.config.digest}")
    parsed = ImageConfig.from_json(config)
    if len(parsed.diff_ids) != len(manifest.layers):
        raise InvalidDocument(
            f"image {digest}: {len(manifest.layers)} layers, but its config knows {len(parsed.diff_ids)}",
            hint="it may be an artifact that is no container image",
        )
    return ResolvedImage(
        reference=reference,
        digest=digest,
        top_digest=Digest.of(top),
        manifest=manifest,
        manifest_bytes=data,
        config=parsed,
        config_bytes=config,
        source=source,
    )


def fetch_layers(
    source: ImageSource,
    layers: Sequence[Descriptor],
    sink: LayerSink,
    *,
    jobs: int = DEFAULT_JOBS,
    progress: Progress | None = None,
) -> None:
    """Hand every layer to `sink` while it downloads, several at once, each digest once; the bottom ones start first.

    The chunks raise DigestMismatch after the last one when the layer is not what it should be: a sink
    must not make its work final before it has seen their end (what it leaves is read to the end here). The
    first error of a sink or of the source stops all of them and is raised.
    """
    unique = {layer.digest: layer for layer in layers}

    def fetch(layer: Descriptor) -> Callable[[threading.Event], None]:
        def run(stop: threading.Event) -> None:
            chunks = guarded(counted(source.blob(layer), layer, progress), stop)
            sink(layer, chunks)
            for _ in chunks:
                pass

        return run

    run_all([fetch(layer) for layer in unique.values()], jobs)
