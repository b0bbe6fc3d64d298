"""Small images as values, real in every digest, and the fixtures that make them."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Callable

import msgspec
import pytest

from pywerf.oci import media_types
from pywerf.oci.config import ContainerConfig, ImageConfig
from pywerf.oci.descriptor import Descriptor
from pywerf.oci.digest import Digest
from pywerf.oci.image_io import ImageDestination
from pywerf.oci.manifest import Index, Manifest
from pywerf.oci.platform import Platform


class Image(msgspec.Struct, frozen=True):
    """An image as a value: its documents, and its blobs by digest."""

    manifest: Manifest
    data: bytes
    config: ImageConfig
    blobs: dict[Digest, bytes]
    tars: tuple[bytes, ...]

    @property
    def digest(self) -> Digest:
        """The manifest's digest."""
        return Digest.of(self.data)

    def store(self, destination: ImageDestination, *, top: bool = True) -> None:
        """Put it somewhere; the caller closes."""
        for descriptor in (*self.manifest.layers, self.manifest.config):
            blob = self.blobs[descriptor.digest]
            destination.put_blob(descriptor, lambda blob=blob: iter((blob,)))  # type: ignore[misc]
        destination.put_manifest(self.data, self.manifest.media_type, top=top)


def tar_of(name: str, content: bytes) -> bytes:
    """A tar with one file."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        info = tarfile.TarInfo(name)
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


@pytest.fixture(scope="session")
def make_image() -> Callable[..., Image]:
    """Makes images: `layers` as (file, content), `compression` of them, platform."""

    def make(
        layers: tuple[tuple[str, bytes], ...] = (("a", b"1" * 3000), ("b", b"2" * 100_000)),
        compression: str = "gzip",
        platform: str = "linux/amd64",
    ) -> Image:
        tars = tuple(tar_of(*layer) for layer in layers)
        if compression == "zstd":
            import zstandard

            packed = [zstandard.compress(tar) for tar in tars]
            media_type = media_types.OCI_LAYER_ZSTD
        elif compression == "gzip":
            packed = [gzip.compress(tar, mtime=0) for tar in tars]
            media_type = media_types.OCI_LAYER_GZIP
        else:
            packed, media_type = list(tars), media_types.OCI_LAYER
        config = ImageConfig(
            Platform.parse(platform), ContainerConfig(cmd=("sh",)), tuple(Digest.of(tar) for tar in tars)
        )
        data = config.to_json()
        manifest = Manifest(
            media_type=media_types.OCI_MANIFEST,
            config=Descriptor(media_types.OCI_CONFIG, Digest.of(data), len(data)),
            layers=tuple(Descriptor(media_type, Digest.of(blob), len(blob)) for blob in packed),
        )
        blobs = {Digest.of(blob): blob for blob in (*packed, data)}
        return Image(manifest, manifest.to_json(), config, blobs, tars)

    return make


@pytest.fixture(scope="session")
def image(make_image: Callable[..., Image]) -> Image:
    """An image of two gzip layers."""
    return make_image()


@pytest.fixture(scope="session")
def index_of() -> Callable[..., bytes]:
    """Makes an index of images."""

    def make(*images: Image) -> bytes:
        return Index(
            media_types.OCI_INDEX,
            tuple(
                Descriptor(media_types.OCI_MANIFEST, item.digest, len(item.data), item.config.platform)
                for item in images
            ),
        ).to_json()

    return make
