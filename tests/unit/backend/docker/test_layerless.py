"""Archives without layers; a history from what the API lists; an image found in what a daemon saves."""

from __future__ import annotations

import io
import json
import tarfile

import pytest

from pywerf.backend.docker.layerless import docker_archive, history_of, image_in, oci_archive
from pywerf.errors import ArchiveError
from pywerf.oci import media_types
from pywerf.oci.descriptor import Descriptor
from pywerf.oci.digest import Digest
from pywerf.oci.manifest import Index, Manifest
from pywerf.oci.platform import Platform

AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")
CONFIG = b'{"architecture":"amd64","os":"linux"}'
LAYER = Descriptor(media_types.OCI_LAYER_GZIP, Digest.of(b"layer"), 5)
MANIFEST = Manifest(
    media_types.OCI_MANIFEST, Descriptor(media_types.OCI_CONFIG, Digest.of(CONFIG), len(CONFIG)), (LAYER,)
)


def line(by: str, size: int = 0) -> dict[str, object]:
    return {"CreatedBy": by, "Size": size, "Created": 3}


def test_the_history_has_as_many_layers_as_the_image() -> None:
    listed = [line("sh -c x", 5), line("/bin/sh -c #(nop)  CMD"), line("RUN true"), line("ADD", 9)]
    history = history_of(listed, 3, "make")
    assert [(item.created_by, item.empty_layer) for item in history] == [
        ("ADD", False),
        ("RUN true", False),
        ("/bin/sh -c #(nop)  CMD", True),
        ("make", False),
    ]
    assert history[0].created == "1970-01-01T00:00:03Z"
    assert history_of(listed, 5, "make") == ()
    assert history_of(listed, 1, "make") == ()


@pytest.mark.parametrize(
    ("lines", "layers", "layered"),
    [
        (("ENV A=1", "WORKDIR /w", "RUN /bin/sh -c true # buildkit", "CMD x"), 2, {1, 2}),
        (("ENV A=1", "WORKDIR /w", "COPY f / # buildkit", "RUN /bin/sh -c true # buildkit"), 2, {2, 3}),
        (("/bin/sh -c #(nop)  ENV A=1", "/bin/sh -c #(nop) WORKDIR /w", "/bin/sh -c true"), 2, {1, 2}),
        (("/bin/sh -c #(nop) COPY dir:1 in / ", "|1 A=1 /bin/sh -c true", "/bin/sh -c #(nop)  USER x"), 2, {0, 1}),
    ],
)
def test_lines_without_bytes(lines: tuple[str, ...], layers: int, layered: set[int]) -> None:
    history = history_of([line(text) for text in reversed(lines)], layers)
    assert {index for index, item in enumerate(history) if not item.empty_layer} == layered
    assert [item.created_by for item in history] == list(lines)


def test_dockers_archive_names_layers_and_has_none() -> None:
    layers = (Digest.of(b"1"), Digest.of(b"2"))
    with tarfile.open(fileobj=io.BytesIO(docker_archive(b"{}", layers))) as archive:
        name = f"{Digest.of(b'{}').hex}.json"
        assert archive.getnames() == [name, "manifest.json"]
        file = archive.extractfile("manifest.json")
        assert file is not None
        (entry,) = json.load(file)
    assert entry == {"Config": name, "RepoTags": None, "Layers": [f"{id.hex}/layer.tar" for id in layers]}


def test_the_oci_archive_has_what_is_read_from_one() -> None:
    archive = oci_archive(MANIFEST, CONFIG)
    assert image_in(io.BytesIO(archive), AMD64) == (MANIFEST, CONFIG)
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        assert f"blobs/sha256/{LAYER.digest.hex}" not in tar.getnames()


def saved(top: Index, blobs: tuple[bytes, ...]) -> io.BytesIO:
    """An archive as Docker 26 writes it: blobs first, the index after them."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        members = {f"blobs/sha256/{Digest.of(blob).hex}": blob for blob in blobs}
        for name, data in {**members, "index.json": top.to_json()}.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    out.seek(0)
    return out


def entry(data: bytes, media_type: str, platform: Platform | None = None) -> Descriptor:
    return Descriptor(media_type, Digest.of(data), len(data), platform)


def test_an_image_of_several_platforms_of_which_one_is_there() -> None:
    manifest = MANIFEST.to_json()
    attested = Manifest(media_types.OCI_MANIFEST, entry(b"{}", media_types.OCI_CONFIG), ()).to_json()
    inner = Index(
        media_types.OCI_INDEX,
        (
            entry(b"not here", media_types.OCI_MANIFEST, ARM64),
            entry(attested, media_types.OCI_MANIFEST, Platform("unknown", "unknown")),
            entry(manifest, media_types.OCI_MANIFEST, AMD64),
        ),
    ).to_json()
    top = Index(media_types.OCI_INDEX, (entry(inner, media_types.OCI_INDEX),))
    blobs = (b"\x1f\x8blayer", CONFIG, attested, b"{}", manifest, inner)
    assert image_in(saved(top, blobs), AMD64) == (MANIFEST, CONFIG)
    with pytest.raises(ArchiveError, match="no image for linux/arm64"):
        image_in(saved(top, blobs), ARM64)


def test_what_is_no_archive() -> None:
    with pytest.raises(ArchiveError, match="is no archive"):
        image_in(io.BytesIO(b"<html>"), AMD64)
