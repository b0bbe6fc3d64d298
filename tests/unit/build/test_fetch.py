"""Layers on their way into the store: as blobs and as snapshots at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from pywerf.build.session import Session
from pywerf.errors import DigestMismatch, RegistryError
from pywerf.oci.chain import chain_ids
from pywerf.oci.descriptor import Descriptor
from pywerf.oci.digest import Digest
from support.image_values import Image


class Source:
    """An ImageSource from memory that counts, and may do something else for a digest."""

    def __init__(self, image: Image) -> None:
        self.image = image
        self.read: list[Digest] = []
        self.instead: dict[Digest, Callable[[], Iterator[bytes]]] = {}

    def manifest(self, digest: Digest | None = None) -> tuple[bytes, str]:
        raise AssertionError("the manifest is known already")

    def blob(self, descriptor: Descriptor) -> Iterator[bytes]:
        self.read.append(descriptor.digest)
        if descriptor.digest in self.instead:
            yield from self.instead[descriptor.digest]()
            return
        data = self.image.blobs[descriptor.digest]
        for at in range(0, len(data), 1000):
            yield data[at : at + 1000]


@pytest.fixture
def source(image: Image) -> Source:
    return Source(image)


@pytest.fixture
def fetch(session: Session, source: Source) -> Callable[[], None]:
    """Fetches all layers of the image."""

    def call() -> None:
        image = source.image
        diff_ids = image.config.diff_ids
        session.fetcher().fetch("the image", source, image.manifest.layers, diff_ids, chain_ids(diff_ids))

    return call


def test_blobs_and_snapshots(session: Session, image: Image, source: Source, fetch: Callable[[], None]) -> None:
    fetch()
    assert sorted(source.read) == sorted(layer.digest for layer in image.manifest.layers)
    for layer, chain, tar in zip(image.manifest.layers, chain_ids(image.config.diff_ids), image.tars, strict=True):
        assert session.store.blobs.read(layer.digest) == image.blobs[layer.digest]
        record = session.store.layers.get(chain)
        assert record is not None
        assert (record.blob, record.size) == (layer, len(tar))
        assert record.snapshot is not None
        assert session.snapshots.driver.exists(record.snapshot)


def test_what_is_here_is_not_fetched(session: Session, image: Image, source: Source, fetch: Callable[[], None]) -> None:
    fetch()
    source.read.clear()
    fetch()
    assert source.read == []


def test_blobs_that_are_here_are_unpacked_from_the_store(
    session: Session, image: Image, source: Source, fetch: Callable[[], None]
) -> None:
    first = image.manifest.layers[0]
    session.store.blobs.put(image.blobs[first.digest])
    fetch()
    assert source.read == [image.manifest.layers[1].digest]


def test_a_damaged_blob_is_not_kept(session: Session, image: Image, source: Source, fetch: Callable[[], None]) -> None:
    bad = image.manifest.layers[1].digest

    def damaged() -> Iterator[bytes]:
        yield image.blobs[bad]
        raise DigestMismatch("layer", str(bad), "sha256:other")

    source.instead[bad] = damaged
    with pytest.raises(DigestMismatch):
        fetch()
    assert session.store.blobs.has(bad) is None
    assert session.store.layers.get(chain_ids(image.config.diff_ids)[1]) is None
    del source.instead[bad]
    fetch()
    assert session.store.blobs.has(bad) is not None


def test_a_function_that_fetches_once(session: Session, image: Image, source: Source) -> None:
    diff_ids = image.config.diff_ids
    once = session.fetcher().fetch_of("x", source, image.manifest.layers, diff_ids, chain_ids(diff_ids))
    assert source.read == []
    bad = image.manifest.layers[0].digest

    def broken() -> Iterator[bytes]:
        raise RegistryError("down")
        yield b""

    source.instead[bad] = broken
    with pytest.raises(RegistryError):
        once()
    source.instead.clear()
    source.read.clear()
    once()
    assert source.read
    source.read.clear()
    once()
    assert source.read == []
