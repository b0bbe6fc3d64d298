"""A store in a temporary directory, and images to put into it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from pywerf.oci import media_types
from pywerf.oci.config import ContainerConfig, ImageConfig
from pywerf.oci.descriptor import Descriptor
from pywerf.oci.digest import Digest
from pywerf.oci.manifest import Index, Manifest
from pywerf.oci.platform import Platform
from pywerf.store.store import Store


class SampleImage(msgspec.Struct, frozen=True):
    """The documents of an image with the given layers (uncompressed: their digests are their diff_ids)."""

    manifest: bytes
    config: bytes
    layers: tuple[bytes, ...]
    media_type: str = media_types.OCI_MANIFEST

    @property
    def id(self) -> Digest:
        return Digest.of(self.config)

    @property
    def digest(self) -> Digest:
        return Digest.of(self.manifest)


def _sample(*layers: bytes, label: str = "", created: str = "2024-05-06T07:08:09Z") -> SampleImage:
    config = ImageConfig(
        Platform("linux", "amd64"),
        ContainerConfig(labels={"label": label} if label else {}),
        diff_ids=tuple(Digest.of(layer) for layer in layers),
        created=created,
    ).to_json()
    manifest = Manifest(
        media_types.OCI_MANIFEST,
        Descriptor(media_types.OCI_CONFIG, Digest.of(config), len(config)),
        tuple(Descriptor(media_types.OCI_LAYER, Digest.of(layer), len(layer)) for layer in layers),
    ).to_json()
    return SampleImage(manifest, config, layers)


def _index(*images: SampleImage) -> bytes:
    return Index(
        media_types.OCI_INDEX,
        tuple(
            Descriptor(image.media_type, image.digest, len(image.manifest), Platform("linux", "amd64"))
            for image in images
        ),
    ).to_json()


@pytest.fixture
def sample() -> Callable[..., SampleImage]:
    return _sample


@pytest.fixture
def index_of() -> Callable[..., bytes]:
    return _index


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(str(tmp_path / "store")) as store:
        yield store
