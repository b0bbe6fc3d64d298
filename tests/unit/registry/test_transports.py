"""Names with transports, and the contract that every source and destination keeps."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywerf.errors import (
    ArchiveError,
    DigestMismatch,
    InvalidReference,
    InvalidValue,
    RegistryNotFound,
    StoreError,
    UsageError,
)
from pywerf.oci import media_types
from pywerf.oci.descriptor import Descriptor
from pywerf.oci.digest import Digest
from pywerf.oci.manifest import Manifest, parse_manifest
from pywerf.registry.access import RegistryAccess
from pywerf.registry.copy import copy_image
from pywerf.registry.transports import TransportName, open_destination, open_source, parse_transport
from support.fake_registry import FakeRegistry

MakeAccess = Callable[..., RegistryAccess]
ALL = ("docker", "oci", "oci-archive", "docker-archive", "dir")


@pytest.fixture(params=ALL)
def place(request: pytest.FixtureRequest, tmp_path: Path, fake_registry: FakeRegistry) -> TransportName:
    """A place of each transport to copy to and from."""
    texts = {
        "docker": f"docker://{fake_registry.host}/team/app:1",
        "oci": f"oci:{tmp_path}/layout:app",
        "oci-archive": f"oci-archive:{tmp_path}/oci.tar:app",
        "docker-archive": f"docker-archive:{tmp_path}/docker.tar:app:1",
        "dir": f"dir:{tmp_path}/dir",
    }
    return parse_transport(texts[request.param])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("alpine", TransportName("name", reference="alpine")),
        ("docker:20", TransportName("name", reference="docker:20")),
        ("r.io:5000/a/b:1", TransportName("name", reference="r.io:5000/a/b:1")),
        ("docker://alpine:3", TransportName("docker", reference="alpine:3")),
        ("oci:/a/b", TransportName("oci", "/a/b")),
        ("oci:/a/b:r.io:5000/x:1", TransportName("oci", "/a/b", "r.io:5000/x:1")),
        ("oci-archive:x.tar:v1", TransportName("oci-archive", "x.tar", "v1")),
        ("docker-archive:x.tar", TransportName("docker-archive", "x.tar")),
        ("docker-archive:x.tar:@1", TransportName("docker-archive", "x.tar", "@1")),
        ("docker-daemon:app:1", TransportName("docker-daemon", reference="app:1")),
        ("dir:/a:b", TransportName("dir", "/a:b")),
    ],
)
def test_parse(text: str, expected: TransportName) -> None:
    assert parse_transport(text) == expected
    assert parse_transport(str(expected)) == expected


@pytest.mark.parametrize("text", ["containers-storage:x", "dir:", "oci:", "oci-archive::x", "docker-daemon:"])
def test_unusable_transports(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_transport(text)
    assert caught.value.hint


@pytest.mark.parametrize("text", ["UPPER", "docker://", "", "docker://UPPER", "a b"])
def test_unusable_names(text: str) -> None:
    with pytest.raises(InvalidReference):
        parse_transport(text)


@given(st.text(max_size=40))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        parse_transport(text)
    except (UsageError, InvalidValue):
        return


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_round_trip(place: TransportName, make_access: MakeAccess, make_image: Any, compression: str) -> None:
    image = make_image(compression=compression)
    access = make_access()
    destination = open_destination(place, access)
    image.store(destination)
    destination.close()
    destination.close()
    source = open_source(place, access)
    data, media_type = source.manifest()
    manifest = parse_manifest(data, media_type)
    assert isinstance(manifest, Manifest)
    assert b"".join(source.blob(manifest.config)) == image.config.to_json()
    layers = [b"".join(source.blob(layer)) for layer in manifest.layers]
    if place.transport == "docker-archive":  # which has no manifest, and plain layers
        assert layers == list(image.tars)
        assert {layer.media_type for layer in manifest.layers} == {media_types.DOCKER_LAYER}
    else:
        assert data == image.data
        assert layers == [image.blobs[layer.digest] for layer in image.manifest.layers]
        assert source.manifest(image.digest)[0] == image.data


def test_blob_is_whole_or_not_there(place: TransportName, make_access: MakeAccess, image: Any) -> None:
    destination = open_destination(place, make_access())
    layer = image.manifest.layers[1]
    blob = image.blobs[layer.digest]
    for wrong in (blob[:-1], blob + b"x", bytes(len(blob))):
        with pytest.raises(DigestMismatch):
            destination.put_blob(layer, lambda wrong=wrong: iter((wrong[:2000], wrong[2000:])))
        assert not destination.has_blob(layer)
    destination.put_blob(layer, lambda: iter((blob,)))
    assert destination.has_blob(layer)
    destination.put_blob(layer, lambda: iter((blob,)))
    image.store(destination)
    destination.close()
    copied = open_source(place, make_access())
    parsed = parse_manifest(*copied.manifest())
    assert isinstance(parsed, Manifest)
    assert len([b"".join(copied.blob(item)) for item in parsed.layers]) == 2


def test_stream_of_unknown_digest(place: TransportName, make_access: MakeAccess, image: Any) -> None:
    destination = open_destination(place, make_access())
    for layer in image.manifest.layers:
        blob = image.blobs[layer.digest]

        def pieces(blob: bytes = blob) -> Iterator[bytes]:
            yield from (blob[start : start + 1000] for start in range(0, len(blob), 1000))

        assert destination.put_blob_stream(pieces()) == (layer.digest, layer.size)
        assert destination.has_blob(layer)
    image.store(destination)
    destination.close()
    source = open_source(place, make_access())
    assert parse_manifest(*source.manifest())


def test_nothing_is_there_before_the_manifest(place: TransportName, make_access: MakeAccess, image: Any) -> None:
    destination = open_destination(place, make_access())
    layer = image.manifest.layers[0]
    destination.put_blob(layer, lambda: iter((image.blobs[layer.digest],)))
    destination.close()
    with pytest.raises((RegistryNotFound, StoreError)):
        open_source(place, make_access()).manifest()


def test_no_temporary_files_stay(tmp_path: Path, make_access: MakeAccess, image: Any) -> None:
    for name in ("oci:layout:x", "oci-archive:o.tar:x", "docker-archive:d.tar:x", "dir:dir"):
        kind, _, rest = name.partition(":")
        destination = open_destination(parse_transport(f"{kind}:{tmp_path}/{rest}"), make_access())
        image.store(destination)
        destination.close()
    assert [path for path in tmp_path.rglob("*") if ".tmp" in path.name] == []


def test_missing_blob(place: TransportName, make_access: MakeAccess, image: Any) -> None:
    destination = open_destination(place, make_access())
    image.store(destination)
    destination.close()
    source = open_source(place, make_access())
    missing = Descriptor(media_types.OCI_LAYER, Digest.of(b"missing"), 7)
    with pytest.raises((RegistryNotFound, ArchiveError), match=r"missing|unknown|no blob|no such"):
        b"".join(source.blob(missing))
    with pytest.raises(
        (RegistryNotFound, ArchiveError, DigestMismatch), match=r"missing|unknown|no manifest|no such|expected"
    ):
        source.manifest(missing.digest)


@pytest.mark.parametrize("transport", ALL[1:])
def test_nothing_there(transport: str, tmp_path: Path, make_access: MakeAccess) -> None:
    with pytest.raises(RegistryNotFound):
        open_source(parse_transport(f"{transport}:{tmp_path}/none"), make_access())


def test_from_every_transport_to_a_registry(
    place: TransportName, make_access: MakeAccess, fake_registry: FakeRegistry, image: Any
) -> None:
    access = make_access()
    destination = open_destination(place, access)
    image.store(destination)
    destination.close()
    target = open_destination(parse_transport(f"{fake_registry.host}/copy:1"), access)
    digest = copy_image(open_source(place, access), target)
    data, _ = fake_registry.manifests["copy", "1"]
    assert Digest.of(data) == digest
    parsed = parse_manifest(data)
    assert isinstance(parsed, Manifest)
    layers = [fake_registry.blobs["copy", str(layer.digest)] for layer in parsed.layers]
    plain = [gzip.decompress(layer) if layer[:2] == b"\x1f\x8b" else layer for layer in layers]
    assert plain == list(image.tars)
