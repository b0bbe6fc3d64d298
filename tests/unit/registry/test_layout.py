"""OCI layouts and loose files: several images, names, hostile content."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pywerf.errors import DigestMismatch, InvalidDigest, InvalidDocument, RegistryNotFound, StoreError
from pywerf.oci.digest import Digest
from pywerf.registry.directory import DirectoryDestination, DirectorySource
from pywerf.registry.layout import LayoutDestination, LayoutSource


def test_several_images_share_a_layout(tmp_path: Path, make_image: Callable[..., Any]) -> None:
    one, two, three = (make_image(layers=(("a", b"same"), ("b", name))) for name in (b"1", b"2", b"3"))
    for name, image in (("one", one), ("two", two), ("one", three)):
        image.store(LayoutDestination(str(tmp_path), name))
    assert LayoutSource(str(tmp_path), "one").manifest()[0] == three.data
    assert LayoutSource(str(tmp_path), "two").manifest()[0] == two.data
    assert LayoutSource(str(tmp_path), "@0").manifest()[0] == two.data
    index = json.loads((tmp_path / "index.json").read_text())
    assert [entry["annotations"] for entry in index["manifests"]] == [
        {"org.opencontainers.image.ref.name": "two"},
        {"org.opencontainers.image.ref.name": "one"},
    ]
    assert json.loads((tmp_path / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    with pytest.raises(RegistryNotFound, match="there are 2 images") as caught:
        LayoutSource(str(tmp_path))
    assert "one, two" in (caught.value.hint or "")
    with pytest.raises(RegistryNotFound, match="no image 'three'"):
        LayoutSource(str(tmp_path), "three")
    with pytest.raises(RegistryNotFound, match="none is number 7"):
        LayoutSource(str(tmp_path), "@7")


def test_image_without_a_name_replaces_itself_only(tmp_path: Path, make_image: Callable[..., Any]) -> None:
    one, two = make_image(layers=(("a", b"1"),)), make_image(layers=(("a", b"2"),))
    for image in (one, one):
        image.store(LayoutDestination(str(tmp_path)))
    assert LayoutSource(str(tmp_path)).manifest()[0] == one.data
    two.store(LayoutDestination(str(tmp_path)))
    with pytest.raises(RegistryNotFound, match="there are 2 images"):
        LayoutSource(str(tmp_path))


def test_containerds_names(tmp_path: Path, image: Any) -> None:
    image.store(LayoutDestination(str(tmp_path), "1"))
    index = json.loads((tmp_path / "index.json").read_text())
    index["manifests"][0]["annotations"]["io.containerd.image.name"] = "docker.io/library/app:1"
    (tmp_path / "index.json").write_text(json.dumps(index))
    assert LayoutSource(str(tmp_path), "docker.io/library/app:1").manifest()[0] == image.data


def test_writers_at_the_same_time(tmp_path: Path, make_image: Callable[..., Any]) -> None:
    images = {f"n{n}": make_image(layers=(("a", b"same"), ("n", str(n).encode()))) for n in range(8)}
    threads = [
        threading.Thread(target=image.store, args=(LayoutDestination(str(tmp_path), name),))
        for name, image in images.items()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name, image in images.items():
        assert LayoutSource(str(tmp_path), name).manifest()[0] == image.data


def test_damaged_blob(tmp_path: Path, image: Any) -> None:
    image.store(LayoutDestination(str(tmp_path)))
    layer = image.manifest.layers[0]
    path = tmp_path / "blobs/sha256" / layer.digest.hex
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(DigestMismatch):
        list(LayoutSource(str(tmp_path)).blob(layer))
    (tmp_path / "blobs/sha256" / image.digest.hex).write_bytes(b"{}")
    with pytest.raises(DigestMismatch):
        LayoutSource(str(tmp_path)).manifest()


def entry(digest: str) -> dict[str, Any]:
    return {"schemaVersion": 2, "manifests": [{"mediaType": "x", "digest": digest, "size": 5}]}


@pytest.mark.parametrize(
    ("index", "error"),
    [
        (entry("sha256:../../../../etc/passwd"), InvalidDigest),
        (entry("../x"), InvalidDigest),
        ({"schemaVersion": 2, "manifests": 5}, InvalidDocument),
        ({"schemaVersion": 1}, InvalidDocument),
        ([], InvalidDocument),
        ({"schemaVersion": 2}, RegistryNotFound),
    ],
)
def test_hostile_index(tmp_path: Path, index: Any, error: type[Exception]) -> None:
    (tmp_path / "index.json").write_text(json.dumps(index))
    with pytest.raises(error):
        LayoutSource(str(tmp_path))


def test_blob_that_is_no_file(tmp_path: Path, image: Any) -> None:
    image.store(LayoutDestination(str(tmp_path)))
    layer = image.manifest.layers[0]
    path = tmp_path / "blobs/sha256" / layer.digest.hex
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(StoreError, match="not a regular file"):
        list(LayoutSource(str(tmp_path)).blob(layer))


def test_endless_document(tmp_path: Path, image: Any) -> None:
    with open(tmp_path / "index.json", "wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(StoreError, match="longer than"):
        LayoutSource(str(tmp_path))


def test_foreign_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("x")
    with pytest.raises(StoreError, match="not an OCI layout"):
        LayoutDestination(str(tmp_path))
    with pytest.raises(StoreError, match="not empty"):
        DirectoryDestination(str(tmp_path))
    for kind in (LayoutDestination, DirectoryDestination):
        with pytest.raises(StoreError, match="not a folder"):
            kind(str(tmp_path / "precious"))


def test_directory_is_replaced(tmp_path: Path, make_image: Callable[..., Any]) -> None:
    one, two = make_image(layers=(("a", b"1"),)), make_image(layers=(("a", b"2"),))
    for image in (one, two):
        image.store(DirectoryDestination(str(tmp_path)))
        assert DirectorySource(str(tmp_path)).manifest()[0] == image.data
    assert (tmp_path / "version").read_text() == "Directory Transport Version: 1.1\n"
    with pytest.raises(DigestMismatch):
        DirectorySource(str(tmp_path)).manifest(Digest.of(b"other"))
