"""Reading caches that are broken, foreign or hostile: always a warning, never an error."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pywerf.build.remote.document import CacheDocument, StepRecord
from pywerf.build.remote.exports import write_merged
from pywerf.build.remote.imports import DocumentCache, RepositoryCache
from pywerf.build.remote.place import Place, place_of
from pywerf.build.remote.spec import parse_from
from pywerf.build.session import Session
from pywerf.oci.digest import Digest
from support.fake_registry import FakeRegistry

KEY, OP, ALIAS = (Digest.of(text).hex for text in (b"key", b"op", b"alias"))
RECORD = StepRecord(KEY, OP, str(Digest.of(bytes(1024))), 1024, "", alias=ALIAS, shape="shape")


def place(session: Session, registry: FakeRegistry) -> Place:
    return place_of(session, parse_from(f"type=registry,ref={registry.host}/cache:1"))


def put(registry: FakeRegistry, document: bytes, **changes: Any) -> None:
    """A manifest of a cache around any document."""
    manifest = {
        "schemaVersion": 2,
        "config": {
            "mediaType": "application/vnd.pywerf.cache.config.v1+json",
            "digest": registry.add_blob("cache", document),
            "size": len(document),
        },
        "layers": [],
    }
    registry.add_manifest("cache", "1", json.dumps({**manifest, **changes}).encode())


def test_records_are_found_by_key_and_alias(session: Session, fake_registry: FakeRegistry, notes: Any) -> None:
    here = place(session, fake_registry)
    write_merged(
        session, here, here.destination(), CacheDocument(1, (RECORD,), images={"draft": "2024-01-01T00:00:00Z"})
    )
    cache = DocumentCache(session, here)
    found = cache.find(KEY)
    assert found is not None
    assert found.record == RECORD
    assert str(found.origin) == f"{fake_registry.host}/cache:1"
    assert cache.find(ALIAS) is not None
    assert cache.find(OP) is None
    assert cache.may_have(OP, "")
    assert cache.may_have(OP, "shape")
    assert not cache.may_have(OP, "another shape")
    assert not cache.may_have(KEY, "")
    assert cache.created("draft") == "2024-01-01T00:00:00Z"
    assert notes.warnings == []
    cache.disable(ValueError("no good"))
    cache.disable(ValueError("still no good"))
    assert cache.find(KEY) is None
    assert not cache.may_have(OP, "")
    assert len(notes.warnings) == 1


def test_the_document_is_read_once_a_store(session: Session, fake_registry: FakeRegistry) -> None:
    here = place(session, fake_registry)
    write_merged(session, here, here.destination(), CacheDocument(1, (RECORD,)))
    for _ in range(2):
        assert DocumentCache(session, here).find(KEY) is not None
    assert len(fake_registry.seen("GET", "/blobs/")) == 1


def test_an_empty_place_is_no_warning(session: Session, fake_registry: FakeRegistry, notes: Any) -> None:
    assert DocumentCache(session, place(session, fake_registry)).find(KEY) is None
    assert notes.warnings == []


@pytest.mark.parametrize(
    "document", [b"", b"{}", b"[1]", b'{"version":9}', b"\x00" * 100, b'{"version":1,"records":[1]}']
)
def test_absurd_documents(session: Session, fake_registry: FakeRegistry, notes: Any, document: bytes) -> None:
    put(fake_registry, document)
    cache = DocumentCache(session, place(session, fake_registry))
    assert cache.find(KEY) is None
    assert len(notes.warnings) == 1
    assert "is not used" in notes.warnings[0]


def test_another_document_than_the_manifest_says(session: Session, fake_registry: FakeRegistry, notes: Any) -> None:
    put(fake_registry, b'{"version":1}')
    fake_registry.substitutes[str(Digest.of(b'{"version":1}'))] = b'{"version":2}'
    assert DocumentCache(session, place(session, fake_registry)).find(KEY) is None
    assert "expected sha256:" in notes.warnings[0]


def test_a_document_of_gigabytes(session: Session, fake_registry: FakeRegistry, notes: Any) -> None:
    config = {
        "mediaType": "application/vnd.pywerf.cache.config.v1+json",
        "digest": "sha256:" + 64 * "a",
        "size": 1 << 40,
    }
    put(fake_registry, b"{}", config=config)
    assert DocumentCache(session, place(session, fake_registry)).find(KEY) is None
    assert "too many for a document" in notes.warnings[0]


def test_damaged_entries_are_left_out(session: Session, fake_registry: FakeRegistry, notes: Any) -> None:
    bad = {"key": OP, "definition": OP, "diff_id": "sha256:", "size": 1, "created": ""}
    good = {"key": KEY, "definition": OP, "diff_id": RECORD.diff_id, "size": 1024, "created": ""}
    put(fake_registry, json.dumps({"version": 1, "records": [bad, good]}).encode())
    cache = DocumentCache(session, place(session, fake_registry))
    assert cache.find(KEY) is not None
    assert cache.find(OP) is None
    assert "1 entries are damaged" in notes.warnings[0]


def test_what_is_no_cache(session: Session, fake_registry: FakeRegistry, notes: Any) -> None:
    put(
        fake_registry,
        b"{}",
        config={"mediaType": "application/vnd.buildkit.cacheconfig.v0", "digest": "sha256:" + 64 * "a", "size": 2},
    )
    assert DocumentCache(session, place(session, fake_registry)).find(KEY) is None
    assert "application/vnd.buildkit.cacheconfig.v0" in notes.warnings[0]


def test_a_registry_that_fails(session: Session, fake_registry: FakeRegistry, notes: Any) -> None:
    fake_registry.fail("GET", "/manifests/", 403)
    assert DocumentCache(session, place(session, fake_registry)).find(KEY) is None
    assert len(notes.warnings) == 1


def test_a_repository_is_asked_by_head(session: Session, fake_registry: FakeRegistry, notes: Any) -> None:
    cache = RepositoryCache(session, parse_from(f"{fake_registry.host}/cache"))
    assert cache.find(KEY) is None
    assert [str(request) for request in fake_registry.requests if request.path != "/v2/"] == [
        f"HEAD /v2/cache/manifests/{KEY}"
    ]
    put(
        fake_registry,
        json.dumps(
            {
                "version": 1,
                "records": [{"key": OP, "definition": OP, "diff_id": RECORD.diff_id, "size": 1, "created": ""}],
            }
        ).encode(),
    )
    fake_registry.manifests["cache", KEY] = fake_registry.manifests["cache", "1"]
    assert cache.find(KEY) is None, "the record of another key"
    assert "no valid record" in notes.warnings[0]
    fake_registry.fail("HEAD", "/manifests/", 500)
    assert cache.find(ALIAS) is None
    assert not cache.usable
    before = len(fake_registry.requests)
    assert cache.find(ALIAS) is None
    assert len(fake_registry.requests) == before
