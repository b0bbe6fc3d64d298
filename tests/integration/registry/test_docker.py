"""docker-daemon: and docker-archive: against a real Docker daemon."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pywerf.errors import RegistryError, RegistryNotFound
from pywerf.oci import media_types
from pywerf.oci.config import ImageConfig
from pywerf.oci.descriptor import Descriptor
from pywerf.oci.digest import Digest
from pywerf.oci.manifest import Manifest
from pywerf.oci.platform import Platform
from pywerf.registry.access import RegistryAccess
from pywerf.registry.copy import copy_image
from pywerf.registry.layout import LayoutDestination, LayoutSource
from pywerf.registry.pull import resolve_source
from pywerf.registry.transports import open_destination, open_source, parse_transport
from support.services import Docker

pytestmark = pytest.mark.integration

MakeAccess = Callable[..., RegistryAccess]


@pytest.fixture
def access(make_access: MakeAccess, docker: Docker) -> RegistryAccess:
    """The way to the test's daemon."""
    return make_access(environ={"DOCKER_HOST": docker.host})


def inspected(docker: Docker, name: str) -> dict[str, Any]:
    (found,) = json.loads(docker.run("image", "inspect", name).stdout)
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_image_goes_in_and_comes_out(
    docker: Docker, access: RegistryAccess, make_image: Callable[..., Any], tmp_path: Path, compression: str
) -> None:
    image = make_image(compression=compression, layers=(("a", compression.encode()), ("b", b"2" * 300_000)))
    name = f"pywerf/{compression}:1"
    image.store(LayoutDestination(str(tmp_path / "layout")))
    destination = open_destination(parse_transport(f"docker-daemon:{name}"), access, names=("other/name:2",))
    copy_image(LayoutSource(str(tmp_path / "layout")), destination)
    destination.close()
    found = inspected(docker, name)
    assert found["RootFS"]["Layers"] == [str(diff_id) for diff_id in image.config.diff_ids]
    assert found["Config"]["Cmd"] == ["sh"]
    assert sorted(found["RepoTags"]) == ["other/name:2", name]
    for reference in (name, found["Id"]):
        source = open_source(parse_transport(f"docker-daemon:{reference}"), access)
        resolved = resolve_source(source)
        assert [b"".join(source.blob(layer)) for layer in resolved.manifest.layers] == list(image.tars)


def test_docker_loads_and_saves_archives(
    docker: Docker, access: RegistryAccess, make_image: Callable[..., Any], tmp_path: Path
) -> None:
    image = make_image(layers=(("a", b"archive"), ("b", b"2")))
    destination = open_destination(parse_transport(f"docker-archive:{tmp_path}/ours.tar:pywerf/archive:1"), access)
    image.store(destination)
    destination.close()
    docker.run("load", "-q", "-i", tmp_path / "ours.tar")
    assert len(inspected(docker, "pywerf/archive:1")["RootFS"]["Layers"]) == 2
    docker.run("save", "-o", tmp_path / "theirs.tar", "pywerf/archive:1")
    source = open_source(parse_transport(f"docker-archive:{tmp_path}/theirs.tar:pywerf/archive:1"), access)
    resolved = resolve_source(source)
    assert [b"".join(source.blob(layer)) for layer in resolved.manifest.layers] == list(image.tars)


def test_missing_image(access: RegistryAccess) -> None:
    with pytest.raises(RegistryNotFound):
        open_source(parse_transport("docker-daemon:no/such/image:1"), access)


def test_daemon_refuses(access: RegistryAccess) -> None:
    layer = b"this is no tar" * 100
    config = ImageConfig(Platform("linux", "amd64"), diff_ids=(Digest.of(layer),)).to_json()
    manifest = Manifest(
        media_types.OCI_MANIFEST,
        Descriptor(media_types.OCI_CONFIG, Digest.of(config), len(config)),
        (Descriptor(media_types.OCI_LAYER, Digest.of(layer), len(layer)),),
    )
    destination = open_destination(parse_transport("docker-daemon:pywerf/broken:1"), access)
    destination.put_blob(manifest.layers[0], lambda: iter((layer,)))
    destination.put_blob(manifest.config, lambda: iter((config,)))
    destination.put_manifest(manifest.to_json(), manifest.media_type)
    with pytest.raises(RegistryError, match="docker-daemon:pywerf/broken:1"):
        destination.close()
