"""Layers that are made again from snapshots, plain and compressed."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pywerf.build.layer_bytes import LayerBytes
from pywerf.build.options import BuildOptions
from pywerf.build.session import Session
from pywerf.errors import BuildError
from pywerf.oci.chain import chain_ids
from pywerf.oci.descriptor import Descriptor
from pywerf.oci.digest import Digest
from pywerf.oci.manifest import Index, Manifest
from pywerf.oci.media_types import OCI_CONFIG, OCI_INDEX, OCI_LAYER_GZIP, OCI_MANIFEST
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


def padded_layer() -> bytes:
    """A layer with padding at its end, as Python's tarfile and others write it: we do not."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        info = tarfile.TarInfo("f")
        info.size = 3
        tar.addfile(info, io.BytesIO(b"abc"))
    return out.getvalue()


def test_a_layer_that_came_compressed_for_one_image_and_plain_for_another(session: Session, tmp_path: Path) -> None:
    layer = padded_layer()
    config = json.dumps(
        {"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": [str(Digest.of(layer))]}}
    ).encode()
    packed = gzip.compress(layer)
    manifest = Manifest(
        OCI_MANIFEST,
        Descriptor(OCI_CONFIG, Digest.of(config), len(config)),
        (Descriptor(OCI_LAYER_GZIP, Digest.of(packed), len(packed)),),
    ).to_json()
    index = Index(OCI_INDEX, (Descriptor(OCI_MANIFEST, Digest.of(manifest), len(manifest)),)).to_json()
    blobs = {f"blobs/sha256/{Digest.of(data).hex}": data for data in (config, packed, manifest)}
    write(tmp_path / "layout", {**blobs, "index.json": index, "oci-layout": b'{"imageLayoutVersion": "1.0.0"}'})
    entry = {"Config": "config.json", "RepoTags": ["plain:1"], "Layers": ["layer.tar"]}
    with tarfile.open(tmp_path / "plain.tar", "w") as tar:
        for name, data in {
            "layer.tar": layer,
            "config.json": config,
            "manifest.json": json.dumps([entry]).encode(),
        }.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    first = session.pull(f"oci:{tmp_path}/layout")
    bases = session.bases("never")
    found = bases.of_record(first, None)
    assert found is not None
    bases.add(found)
    session.snapshots.of(bases.ref(found.op))
    second = bases.of_record(session.pull(f"docker-archive:{tmp_path}/plain.tar"), None)
    assert second is not None
    bytes_of = LayerBytes(session, second, 0, chain_ids(second.config.diff_ids))
    assert b"".join(bytes_of.tar()) == layer
    assert bytes_of.plain().size == len(layer)


def test_a_layer_that_nobody_has(session: Session, built: LayerBytes) -> None:
    with pytest.raises(BuildError, match="is not here") as caught:
        built.stored(Descriptor(OCI_LAYER_GZIP, Digest.of(b"gone"), 4))
    assert caught.value.hint
