from __future__ import annotations

import itertools

import pytest

from pywerf.oci import media_types as m


@pytest.mark.parametrize(
    ("media_type", "compression"),
    [
        ("application/vnd.oci.image.layer.v1.tar", "none"),
        ("application/vnd.oci.image.layer.v1.tar+gzip", "gzip"),
        ("application/vnd.oci.image.layer.v1.tar+zstd", "zstd"),
        ("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", "gzip"),
        ("application/vnd.docker.image.rootfs.diff.tar", "none"),
        ("application/vnd.docker.image.rootfs.diff.tar.gzip", "gzip"),
        ("application/vnd.docker.image.rootfs.diff.tar.zstd", "zstd"),
        ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "gzip"),
        ("application/vnd.in-toto+json", None),
        ("application/vnd.oci.image.config.v1+json", None),
        ("", None),
    ],
)
def test_how_layers_are_compressed(media_type: str, compression: str | None) -> None:
    assert m.layer_compression(media_type) == compression


@pytest.mark.parametrize(
    ("compression", "image_format"), list(itertools.product(("none", "gzip", "zstd"), ("oci", "docker")))
)
def test_what_is_written_is_recognised(compression: m.Compression, image_format: m.ImageFormat) -> None:
    assert m.layer_compression(m.layer_media_type(compression, image_format)) == compression


def test_docker_has_no_zstd_of_its_own() -> None:
    assert m.layer_media_type("zstd", "docker") == m.OCI_LAYER_ZSTD
    assert m.layer_media_type("gzip", "docker") == m.DOCKER_LAYER_GZIP
    assert m.layer_media_type("none", "docker") == m.DOCKER_LAYER


def test_kinds_do_not_overlap() -> None:
    assert not m.INDEXES & m.MANIFESTS
    assert not m.CONFIGS & (m.INDEXES | m.MANIFESTS)
