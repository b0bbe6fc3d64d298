from __future__ import annotations

import json
from typing import Any

import pytest

from pywerf.errors import InvalidDigest, InvalidDocument
from pywerf.oci import media_types
from pywerf.oci.descriptor import Descriptor
from pywerf.oci.digest import Digest
from pywerf.oci.manifest import Index, Manifest, parse_manifest
from pywerf.oci.platform import Platform

CONFIG = Descriptor(media_types.OCI_CONFIG, Digest.of(b"config"), 6)
LAYER = Descriptor(media_types.OCI_LAYER_GZIP, Digest.of(b"layer"), 5)


def item(digest: bytes, platform: str | None, media_type: str = media_types.OCI_MANIFEST) -> Descriptor:
    return Descriptor(media_type, Digest.of(digest), 1, None if platform is None else Platform.parse(platform))


def test_manifests_are_read_as_they_were_written() -> None:
    foreign = Descriptor(
        media_types.OCI_LAYER, Digest.of(b"x"), 1, annotations=(("a", "b"),), urls=("https://x.invalid/layer",)
    )
    manifest = Manifest(
        media_types.OCI_MANIFEST,
        CONFIG,
        (LAYER, foreign),
        annotations={"z": "1", "a": "2"},
        artifact_type="application/x",
        subject=LAYER,
    )
    assert parse_manifest(manifest.to_json()) == manifest
    assert (
        manifest.to_json()
        == Manifest(
            media_types.OCI_MANIFEST,
            CONFIG,
            (LAYER, foreign),
            annotations={"a": "2", "z": "1"},
            artifact_type="application/x",
            subject=LAYER,
        ).to_json()
    )


def test_indexes_are_read_as_they_were_written() -> None:
    index = Index(
        media_types.DOCKER_INDEX,
        (item(b"1", "linux/amd64", media_types.DOCKER_MANIFEST), item(b"2", "linux/arm/v6"), item(b"3", None)),
        {"k": "v"},
    )
    assert parse_manifest(index.to_json()) == index


def document(**change: Any) -> bytes:
    fields: dict[str, Any] = json.loads(Manifest(media_types.OCI_MANIFEST, CONFIG, (LAYER,)).to_json())
    fields.update(change)
    return json.dumps({key: value for key, value in fields.items() if value != "gone"}).encode()


@pytest.mark.parametrize(
    ("change", "said", "kind"),
    [
        ({"mediaType": "gone"}, "", media_types.OCI_MANIFEST),
        ({"mediaType": "gone"}, media_types.DOCKER_MANIFEST, media_types.DOCKER_MANIFEST),
        ({"mediaType": "gone"}, media_types.DOCKER_MANIFEST + "; charset=utf-8", media_types.DOCKER_MANIFEST),
        ({"mediaType": "text/plain"}, "text/plain", media_types.OCI_MANIFEST),
        ({"mediaType": media_types.DOCKER_MANIFEST}, media_types.OCI_MANIFEST, media_types.DOCKER_MANIFEST),
    ],
)
def test_which_kind_it_is(change: dict[str, Any], said: str, kind: str) -> None:
    assert parse_manifest(document(**change), said).media_type == kind


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schemaVersion": 1}, "schema version 1 is not supported"),
        ({"config": "gone"}, r"^m\.config: missing"),
        ({"config": []}, r"^m\.config: expected an object"),
        ({"layers": {}}, r"^m\.layers: expected list"),
        ({"layers": [{"digest": str(LAYER.digest)}]}, r"^m\.layers\[0\]\.size: expected int"),
        ({"layers": [{"size": 1}]}, r"^m\.layers\[0\]\.digest: expected str"),
        ({"layers": [{"size": -1, "digest": str(LAYER.digest)}]}, r"^m\.layers\[0\]\.size: -1 is negative"),
        ({"layers": [{"size": True, "digest": str(LAYER.digest)}]}, r"^m\.layers\[0\]\.size: expected int, got a bool"),
        ({"annotations": {"a": 1}}, r"^m\.annotations: expected an object of strings"),
        # CVE-2021-41190: one document that is a manifest to one reader and an index to another
        ({"manifests": []}, "a manifest with the fields of an index"),
        ({"mediaType": media_types.OCI_INDEX}, "an index with the fields of a manifest"),
    ],
)
def test_damaged_manifests(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidDocument, match=message):
        parse_manifest(document(**change), what="m")


def test_digests_are_checked() -> None:
    with pytest.raises(InvalidDigest):
        parse_manifest(document(layers=[{"size": 1, "digest": "sha256:../../etc/passwd"}]))


@pytest.mark.parametrize(
    ("there", "wanted", "chosen"),
    [
        (["linux/amd64", "linux/arm64"], "linux/arm64", 1),
        (["linux/arm/v6", "linux/arm/v7"], "linux/arm/v7", 1),
        (["linux/arm/v5", "linux/arm/v6"], "linux/arm/v7", 1),
        (["linux/arm/v7"], "linux/arm/v6", None),
        (["linux/amd64/v3", "linux/amd64"], "linux/amd64", 1),
        (["linux/amd64"], "linux/amd64/v2", 0),
        (["windows/amd64"], "linux/amd64", None),
        ([None], "linux/amd64", 0),
        ([None, None], "linux/amd64", None),
        ([], "linux/amd64", None),
    ],
)
def test_the_image_of_a_platform(there: list[str | None], wanted: str, chosen: int | None) -> None:
    items = tuple(item(str(number).encode(), platform) for number, platform in enumerate(there))
    found = Index(media_types.OCI_INDEX, items).select(Platform.parse(wanted))
    assert found == (None if chosen is None else items[chosen])


def test_what_is_no_image_is_not_chosen() -> None:
    attestation = item(b"a", "linux/amd64", "application/vnd.in-toto+json")
    image = item(b"i", "linux/amd64")
    assert Index(media_types.OCI_INDEX, (attestation, image)).select(Platform.parse("linux/amd64")) == image
