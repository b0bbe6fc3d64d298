"""Media types of OCI (image-spec, media-types.md) and of Docker's schema 2, and what is what."""

from __future__ import annotations

from typing import Literal

__all__ = [
    "CONFIGS",
    "DOCKER_CONFIG",
    "DOCKER_INDEX",
    "DOCKER_LAYER",
    "DOCKER_LAYER_GZIP",
    "DOCKER_MANIFEST",
    "INDEXES",
    "MANIFESTS",
    "OCI_CONFIG",
    "OCI_INDEX",
    "OCI_LAYER",
    "OCI_LAYER_GZIP",
    "OCI_LAYER_ZSTD",
    "OCI_MANIFEST",
    "Compression",
    "ImageFormat",
    "layer_compression",
    "layer_media_type",
]

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
OCI_LAYER_GZIP = OCI_LAYER + "+gzip"
OCI_LAYER_ZSTD = OCI_LAYER + "+zstd"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
DOCKER_LAYER_GZIP = DOCKER_LAYER + ".gzip"
DOCKER_LAYER_ZSTD = DOCKER_LAYER + ".zstd"
_NONDISTRIBUTABLE = (
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.docker.image.rootfs.foreign.diff.tar",
)

INDEXES = frozenset((OCI_INDEX, DOCKER_INDEX))
MANIFESTS = frozenset((OCI_MANIFEST, DOCKER_MANIFEST))
CONFIGS = frozenset((OCI_CONFIG, DOCKER_CONFIG))

ImageFormat = Literal["oci", "docker"]
Compression = Literal["none", "gzip", "zstd"]


def layer_compression(media_type: str) -> Compression | None:
    """How a layer of this media type is compressed; None when it is no layer's media type."""
    for tar in (OCI_LAYER, DOCKER_LAYER, *_NONDISTRIBUTABLE):
        if media_type == tar:
            return "none"
        if media_type in (tar + "+gzip", tar + ".gzip"):
            return "gzip"
        if media_type in (tar + "+zstd", tar + ".zstd"):
            return "zstd"
    return None


def layer_media_type(compression: Compression, image_format: ImageFormat) -> str:
    """The media type of a layer. Docker's types have no zstd of their own: OCI's is used there."""
    if image_format == "docker" and compression != "zstd":
        return DOCKER_LAYER if compression == "none" else DOCKER_LAYER_GZIP
    return {"none": OCI_LAYER, "gzip": OCI_LAYER_GZIP, "zstd": OCI_LAYER_ZSTD}[compression]
