"""Layers that are made again from snapshots, plain and compressed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pywerf.build.layer_bytes import LayerBytes
from pywerf.build.options import BuildOptions
from pywerf.build.session import Session
from pywerf.errors import BuildError
from pywerf.oci.chain import chain_ids
from pywerf.oci.digest import Digest
from support.builds import write


@pytest.fixture
def built(session: Session, tmp_path: Path) -> LayerBytes:
    """The one layer of an image that a COPY has made."""
    folder = write(tmp_path / "context", {"Dockerfile": "FROM scratch\nCOPY f /\n", "f": "x" * 100_000})
    session.build(BuildOptions(context=str(folder), tags=("app:1",)))
    found = session.bases("never").of_record(session.find_image("app:1"), None)
    assert found is not None
    return LayerBytes(session, found, 0, chain_ids(found.config.diff_ids))


def test_a_plain_layer(built: LayerBytes) -> None:
    data = b"".join(built.tar())
    plain = built.plain()
    assert (Digest.of(data), len(data)) == (plain.digest, plain.size) == (built.diff_id, plain.size)
    assert b"".join(built.stored(plain)) == data


def test_a_layer_that_is_a_snapshot_only(session: Session, built: LayerBytes) -> None:
    """Its tar is made again, and is the same."""
    data = b"".join(built.tar())
    found = session.bases("never").of_record(session.find_image("app:1"), None)
    assert found is not None
    bases = session.bases("never")
    bases.add(found)
    session.snapshots.of(bases.ref(found.op))
    session.store.blobs.delete(built.diff_id)
    assert b"".join(built.tar()) == data


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_a_compressed_layer(built: LayerBytes, compression: str) -> None:
    from pywerf.layer.compress import decompress

    packed = list(built.compressed(compression, None, lambda chunks: chunks))  # type: ignore[arg-type]
    assert b"".join(decompress(iter(packed))) == b"".join(built.tar())
    assert sum(map(len, packed)) < 10_000


def test_an_error_while_it_is_compressed(built: LayerBytes) -> None:
    def broken(chunks: Iterator[bytes]) -> Iterator[bytes]:
        yield next(chunks)
        raise BuildError("no")

    with pytest.raises(BuildError, match="no"):
        list(built.compressed("gzip", None, broken))


def test_a_layer_that_nobody_has(session: Session, built: LayerBytes) -> None:
    from pywerf.oci.descriptor import Descriptor
    from pywerf.oci.media_types import OCI_LAYER_GZIP

    with pytest.raises(BuildError, match="is not here") as caught:
        built.stored(Descriptor(OCI_LAYER_GZIP, Digest.of(b"gone"), 4))
    assert caught.value.hint
