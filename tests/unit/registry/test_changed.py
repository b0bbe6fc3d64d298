"""Images with another config, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pywerf.oci import media_types
from pywerf.oci.digest import Digest
from pywerf.oci.manifest import Index, Manifest, parse_manifest
from pywerf.oci.platform import Platform
from pywerf.registry.changed import ChangedSource
from pywerf.registry.copy import copy_image
from pywerf.registry.layout import LayoutDestination, LayoutSource
from pywerf.registry.pull import resolve_source


def author(config: bytes) -> bytes:
    return json.dumps({**json.loads(config), "author": "somebody"}).encode()


def test_an_image(tmp_path: Path, make_image: Callable[..., Any]) -> None:
    image = make_image()
    image.store(LayoutDestination(str(tmp_path / "one")))
    source = ChangedSource(LayoutSource(str(tmp_path / "one")), author)
    copy_image(source, LayoutDestination(str(tmp_path / "two")))
    copied = LayoutSource(str(tmp_path / "two"))
    manifest = parse_manifest(*copied.manifest())
    assert isinstance(manifest, Manifest)
    assert manifest.layers == image.manifest.layers
    config = b"".join(copied.blob(manifest.config))
    assert json.loads(config) == {**json.loads(image.config.to_json()), "author": "somebody"}


def test_an_index_of_several(tmp_path: Path, make_image: Callable[..., Any], index_of: Callable[..., bytes]) -> None:
    images = [make_image(platform=name) for name in ("linux/amd64", "linux/arm64")]
    destination = LayoutDestination(str(tmp_path / "one"))
    for image in images:
        image.store(destination, top=False)
    destination.put_manifest(index_of(*images), media_types.OCI_INDEX)
    source = ChangedSource(LayoutSource(str(tmp_path / "one")), author)
    copy_image(source, LayoutDestination(str(tmp_path / "two")), all_platforms=True)
    copied = LayoutSource(str(tmp_path / "two"))
    index = parse_manifest(*copied.manifest())
    assert isinstance(index, Index)
    assert [entry.platform for entry in index.manifests] == [Platform("linux", "amd64"), Platform("linux", "arm64")]
    for entry, image in zip(index.manifests, images, strict=True):
        assert entry.digest != image.digest
        assert entry.size == len(copied.manifest(entry.digest)[0])
        found = resolve_source(copied, entry.platform)
        assert found.config.author == "somebody"
        assert found.manifest.layers == image.manifest.layers


def test_asked_again_it_says_the_same(tmp_path: Path, make_image: Callable[..., Any]) -> None:
    make_image().store(LayoutDestination(str(tmp_path / "one")))
    changes: list[bytes] = []

    def change(config: bytes) -> bytes:
        changes.append(config)
        return author(config)

    source = ChangedSource(LayoutSource(str(tmp_path / "one")), change)
    assert source.manifest() == source.manifest() == source.manifest(Digest.of(source.manifest()[0]))
    assert len(changes) == 1
