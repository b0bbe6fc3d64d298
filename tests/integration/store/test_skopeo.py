"""The OCI layout of a store, read in place by skopeo."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pywerf.oci import media_types
from pywerf.oci.config import ContainerConfig, ImageConfig
from pywerf.oci.descriptor import Descriptor
from pywerf.oci.digest import Digest
from pywerf.oci.manifest import Index, Manifest
from pywerf.oci.platform import Platform
from pywerf.store.store import Store

pytestmark = pytest.mark.integration


@pytest.fixture
def skopeo() -> Callable[..., bytes]:
    if shutil.which("skopeo") is None:
        pytest.fail("skopeo is missing: apt-get install skopeo")

    def run(*arguments: str) -> bytes:
        return subprocess.run(["skopeo", *arguments], check=True, stdout=subprocess.PIPE, timeout=60).stdout

    return run


def _put(store: Store, image_format: str, *names: str) -> tuple[bytes, bytes]:
    docker = image_format == "docker"
    layer = store.blobs.put(bytes(1024))  # an empty tar
    config = ImageConfig(
        Platform("linux", "amd64"), ContainerConfig(env=("A=b",)), (layer,), created="2024-01-02T03:04:05Z"
    ).to_json()
    manifest = Manifest(
        media_types.DOCKER_MANIFEST if docker else media_types.OCI_MANIFEST,
        Descriptor(media_types.DOCKER_CONFIG if docker else media_types.OCI_CONFIG, Digest.of(config), len(config)),
        (Descriptor(media_types.DOCKER_LAYER if docker else media_types.OCI_LAYER, layer, 1024),),
    ).to_json()
    kind = media_types.DOCKER_MANIFEST if docker else media_types.OCI_MANIFEST
    store.images.put(manifest, kind, config, names)
    return manifest, config


@pytest.mark.parametrize("name", ["app:1", "localhost/app:latest", "registry.example:5000/team/app:v1.2_3"])
def test_inspect_by_name(tmp_path: Path, skopeo: Callable[..., bytes], name: str) -> None:
    with Store.open(str(tmp_path / "store")) as store:
        _put(store, "docker", "docker:1")  # of these skopeo reads none from a layout; they disturb nobody
        manifest, config = _put(store, "oci", "another:1", name)
        place = f"oci:{store.oci_dir}:{name}"
        found = json.loads(skopeo("inspect", place))
        assert found["Digest"] == str(Digest.of(manifest))
        assert found["Env"] == ["A=b"]
        assert skopeo("inspect", "--raw", place) == manifest
        assert skopeo("inspect", "--raw", "--config", place) == config


def test_inspect_without_layer_blobs(tmp_path: Path, skopeo: Callable[..., bytes]) -> None:
    with Store.open(str(tmp_path / "store")) as store:
        _put(store, "oci", "app:1")
        store.blobs.delete(Digest.of(bytes(1024)))
        assert json.loads(skopeo("inspect", f"oci:{store.oci_dir}:app:1"))["Architecture"] == "amd64"


def test_copy_of_an_index(tmp_path: Path, skopeo: Callable[..., bytes]) -> None:
    with Store.open(str(tmp_path / "store")) as store:
        manifest, _ = _put(store, "oci")
        index = Index(
            media_types.OCI_INDEX,
            (Descriptor(media_types.OCI_MANIFEST, Digest.of(manifest), len(manifest), Platform("linux", "amd64")),),
        ).to_json()
        store.images.put_index(index, media_types.OCI_INDEX, ["multi:1"])
        skopeo("copy", "--all", "--preserve-digests", f"oci:{store.oci_dir}:multi:1", f"oci:{tmp_path}/copy:x")
        assert skopeo("inspect", "--raw", f"oci:{tmp_path}/copy:x") == index
