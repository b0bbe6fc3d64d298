"""Manifests, tags and what a registry may lie about."""

from __future__ import annotations

import pytest

from pywerf.errors import DigestMismatch, InvalidDocument, RegistryError, RegistryNotFound
from pywerf.oci.digest import Digest
from pywerf.registry.client import RegistryClient
from support.fake_registry import MANIFEST_TYPE, FakeRegistry


def test_manifest_by_tag_and_digest(client: RegistryClient, fake_registry: FakeRegistry) -> None:
    digest = fake_registry.add_image("team/app", "1", (b"layer",))
    data, media_type, found = client.manifest("team/app", "1")
    assert (Digest.of(data), media_type, str(found)) == (found, MANIFEST_TYPE, digest)
    assert client.manifest("team/app", digest) == (data, media_type, found)
    descriptor = client.find_manifest("team/app", "1")
    assert descriptor is not None
    assert (descriptor.digest, descriptor.size, descriptor.media_type) == (found, len(data), MANIFEST_TYPE)
    accepted = fake_registry.seen("GET", "manifests")[0].headers["accept"]
    assert "application/vnd.oci.image.index.v1+json" in accepted
    assert "application/vnd.docker.distribution.manifest.list.v2+json" in accepted


def test_missing_manifest(client: RegistryClient) -> None:
    assert client.find_manifest("app", "1") is None
    with pytest.raises(RegistryNotFound, match="manifest unknown"):
        client.manifest("app", "1")


def test_other_bytes_than_the_digest_says(client: RegistryClient, fake_registry: FakeRegistry) -> None:
    digest = fake_registry.add_image("app", "1", (b"layer",))
    fake_registry.substitutes[digest] = b'{"schemaVersion": 2}'
    for selector in (digest, "1"):  # by tag, the registry's own header says what it should be
        with pytest.raises(DigestMismatch):
            client.manifest("app", selector)


def test_header_that_is_no_digest(client: RegistryClient, fake_registry: FakeRegistry) -> None:
    fake_registry.add_image("app", "1", (b"layer",))
    fake_registry.claimed_digest = "sha256:../../etc"
    with pytest.raises(InvalidDocument, match="not a digest"):
        client.manifest("app", "1")


def test_endless_manifest(client: RegistryClient, fake_registry: FakeRegistry) -> None:
    fake_registry.add_manifest("app", "1", b" " * (9 << 20))
    with pytest.raises(RegistryError, match="longer than"):
        client.manifest("app", "1")


def test_put_manifest(client: RegistryClient, fake_registry: FakeRegistry) -> None:
    data = b'{"schemaVersion":2}'
    assert client.put_manifest("app", "1", data, MANIFEST_TYPE) == Digest.of(data)
    assert fake_registry.manifests["app", "1"] == (data, MANIFEST_TYPE)
    assert client.put_manifest("app", str(Digest.of(data)), data, MANIFEST_TYPE) == Digest.of(data)
    with pytest.raises(DigestMismatch):
        client.put_manifest("app", str(Digest.of(b"other")), data, MANIFEST_TYPE)
    fake_registry.claimed_digest = str(Digest.of(b"other"))
    with pytest.raises(DigestMismatch, match="stored by"):
        client.put_manifest("app", "2", data, MANIFEST_TYPE)


def test_a_manifest_whose_blobs_others_push_just_now(client: RegistryClient, fake_registry: FakeRegistry) -> None:
    """docker-registry takes a link that is being written for a wrong digest: a moment later it is right."""
    data = b'{"schemaVersion":2}'
    said = {"errors": [{"code": "DIGEST_INVALID", "message": "provided digest did not match uploaded content"}]}
    fake_registry.fail("PUT", "/manifests/", 400, times=2, body=said)
    assert client.put_manifest("app", "1", data, MANIFEST_TYPE) == Digest.of(data)
    assert len(fake_registry.seen("PUT", "/manifests/")) == 3
    fake_registry.fail("PUT", "/manifests/", 400, times=10, body=said)
    with pytest.raises(RegistryError, match="provided digest"):
        client.put_manifest("app", "1", data, MANIFEST_TYPE)


def test_delete_manifest(client: RegistryClient, fake_registry: FakeRegistry) -> None:
    digest = fake_registry.add_image("app", "1", (b"layer",))
    client.delete_manifest("app", digest)
    with pytest.raises(RegistryNotFound):
        client.delete_manifest("app", digest)


def test_tags_page_by_page(client: RegistryClient, fake_registry: FakeRegistry) -> None:
    for tag in "abcde":
        fake_registry.add_manifest("app", tag, b"{}")
    fake_registry.page_size = 2
    assert list(client.tags("app")) == list("abcde")
    assert len(fake_registry.seen("GET", "tags")) == 3


def test_tags_do_not_lead_elsewhere(client: RegistryClient, fake_registry: FakeRegistry) -> None:
    link = '<http://other.invalid/v2/app/tags/list>; rel="next"'
    fake_registry.fail("GET", "tags", 200, body={"tags": ["a"]}, Link=link)
    with pytest.raises(RegistryError, match="another host"):
        list(client.tags("app"))


def test_find_blob(client: RegistryClient, fake_registry: FakeRegistry) -> None:
    digest = Digest.parse(fake_registry.add_blob("app", b"12345"))
    assert client.find_blob("app", digest) == 5
    assert client.find_blob("app", Digest.of(b"other")) is None


@pytest.mark.parametrize("path", ["manifests", "tags"])
def test_a_document_that_breaks_off_is_asked_for_again(
    client: RegistryClient, fake_registry: FakeRegistry, path: str
) -> None:
    fake_registry.add_image("app", "1", (b"layer",))
    fake_registry.fail("GET", path, 200, times=2, body=b"{", Content_Length="100")
    assert client.manifest("app", "1")[0].startswith(b'{"schemaVersion"')
    assert list(client.tags("app")) == ["1"]
    assert len(fake_registry.seen("GET", path)) == 3
    fake_registry.fail("GET", path, 200, times=9, body=b"{", Content_Length="100")
    with pytest.raises(RegistryError, match="closed the connection too early"):
        list(client.tags("app")) if path == "tags" else client.manifest("app", "1")
