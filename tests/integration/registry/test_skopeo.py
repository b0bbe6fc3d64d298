"""skopeo as judge: what we write it reads, what it writes we read, for every transport and both ways."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pywerf.oci.config import ImageConfig
from pywerf.oci.manifest import Manifest
from pywerf.registry.access import RegistryAccess
from pywerf.registry.copy import copy_image
from pywerf.registry.layout import LayoutDestination, LayoutSource
from pywerf.registry.pull import resolve_source
from pywerf.registry.transports import open_destination, open_source, parse_transport
from support import machine

pytestmark = pytest.mark.integration

MakeAccess = Callable[..., RegistryAccess]
TRANSPORTS = ("docker", "oci", "oci-archive", "docker-archive", "dir")


@pytest.fixture(params=TRANSPORTS)
def place(request: pytest.FixtureRequest, tmp_path: Path, registry: str) -> str:
    """A place of each transport."""
    return {
        "docker": f"docker://{registry}/skopeo/{tmp_path.name.replace('_', '-').strip('-').lower()}:1",
        "oci": f"oci:{tmp_path}/layout:app",
        "oci-archive": f"oci-archive:{tmp_path}/oci.tar:app",
        "docker-archive": f"docker-archive:{tmp_path}/docker.tar:docker.io/library/app:1",
        "dir": f"dir:{tmp_path}/dir",
    }[request.param]


@pytest.fixture
def ours(tmp_path: Path, image: Any) -> LayoutSource:
    """The image as we have it."""
    image.store(LayoutDestination(str(tmp_path / "ours"), "app"))
    return LayoutSource(str(tmp_path / "ours"), "app")


def skopeo(*argv: str | Path) -> str:
    return machine.run(machine.require("skopeo"), *argv).stdout


def copied_by_skopeo(source: str, destination: str) -> None:
    skopeo("copy", "-q", "--src-tls-verify=false", "--dest-tls-verify=false", source, destination)


def content(source: Any) -> tuple[ImageConfig, list[bytes]]:
    """Config and unpacked layers."""
    resolved = resolve_source(source)
    assert isinstance(resolved.manifest, Manifest)
    layers = [b"".join(source.blob(layer)) for layer in resolved.manifest.layers]
    return resolved.config, [gzip.decompress(layer) if layer[:2] == b"\x1f\x8b" else layer for layer in layers]


def test_skopeo_reads_what_we_write(
    place: str, make_access: MakeAccess, ours: LayoutSource, image: Any, tmp_path: Path
) -> None:
    destination = open_destination(parse_transport(place), make_access())
    copy_image(ours, destination)
    destination.close()
    tls = ("--tls-verify=false",) if place.startswith("docker://") else ()
    told = json.loads(skopeo("inspect", *tls, place))
    assert told["Architecture"] == "amd64"
    assert len(told["Layers"]) == 2
    copied_by_skopeo(place, f"oci:{tmp_path}/back:app")
    assert content(LayoutSource(str(tmp_path / "back"), "app")) == (image.config, list(image.tars))


def test_we_read_what_skopeo_writes(place: str, make_access: MakeAccess, ours: LayoutSource, image: Any) -> None:
    copied_by_skopeo(f"oci:{ours.path}:app", place)
    assert content(open_source(parse_transport(place), make_access())) == (image.config, list(image.tars))


@pytest.mark.parametrize("transport", ["docker", "oci", "oci-archive", "dir"])
def test_digests_survive(
    transport: str, make_access: MakeAccess, ours: LayoutSource, image: Any, tmp_path: Path, registry: str
) -> None:
    place = f"docker://{registry}/digests:1" if transport == "docker" else f"{transport}:{tmp_path}/x"
    destination = open_destination(parse_transport(place), make_access())
    assert copy_image(ours, destination) == image.digest
    destination.close()
    tls = ("--tls-verify=false",) if transport == "docker" else ()
    assert skopeo("inspect", *tls, "--format", "{{.Digest}}", place).strip() == str(image.digest)


def test_index(
    registry: str,
    make_access: MakeAccess,
    make_image: Callable[..., Any],
    index_of: Callable[..., bytes],
    tmp_path: Path,
) -> None:
    images = [make_image(layers=(("a", name.encode()),), platform=name) for name in ("linux/amd64", "linux/arm/v7")]
    access = make_access()
    destination = open_destination(parse_transport(f"{registry}/index:1"), access)
    for image in images:
        image.store(destination, top=False)
    data = index_of(*images)
    destination.put_manifest(data, "application/vnd.oci.image.index.v1+json")
    raw = skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{registry}/index:1")
    assert raw.encode() == data
    skopeo("copy", "-q", "--all", "--src-tls-verify=false", f"docker://{registry}/index:1", f"dir:{tmp_path}/all")
    copy_image(
        open_source(parse_transport(f"dir:{tmp_path}/all"), access),
        LayoutDestination(str(tmp_path / "all-layout"), "x"),
        all_platforms=True,
    )
    assert skopeo("inspect", "--raw", f"oci:{tmp_path}/all-layout:x").encode() == data
