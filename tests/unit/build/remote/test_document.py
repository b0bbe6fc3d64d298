"""The document of a cache: hostile ones, and many that become one."""

from __future__ import annotations

import json
import time
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywerf.build.remote.document import (
    CacheDocument,
    LayerBlob,
    MountRecord,
    StepRecord,
    blobs_of,
    checked,
    decode,
    encode,
    merge,
)
from pywerf.errors import InvalidDocument
from pywerf.oci.digest import Digest

NOW = int(time.time())
GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"


def key(text: str) -> str:
    return Digest.of(text.encode()).hex


def layer(text: str, media_type: str = GZIP) -> LayerBlob:
    return LayerBlob(media_type, str(Digest.of(f"blob {text}".encode())), len(text))


def record(text: str, **changes: Any) -> StepRecord:
    one = StepRecord(key(text), key(f"op {text}"), f"sha256:{key('diff' + text)}", 10, "", layer(text), used=NOW)
    return msgspec.structs.replace(one, **changes)


def document(*records: StepRecord, **rest: Any) -> CacheDocument:
    return CacheDocument(1, tuple(records), **rest)


def test_round_trip() -> None:
    mount = MountRecord("pip", key("pip"), f"sha256:{key('m')}", layer("m"), NOW)
    whole = document(record("a", components={"name": "RUN x"}), record("b", layer=None), mounts=(mount,))
    written, data = encode(whole)
    assert written == whole
    assert decode(data, "it") == whole
    assert {str(blob.digest) for blob in blobs_of(whole)} == {layer("a").digest, layer("m").digest}


RIGHT = {"key": key("k"), "definition": key("d"), "diff_id": f"sha256:{key('x')}", "size": 1, "created": ""}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe",
        b"null",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b'{"version": "1"}',
        b'{"version": 1, "records": {}}',
        json.dumps({"version": 1, "records": [{}]}).encode(),
        json.dumps({"version": 1, "records": [{**RIGHT, "key": "../../etc/passwd"}]}).encode(),
        json.dumps({"version": 1, "records": [{**RIGHT, "size": -1}]}).encode(),
        json.dumps({"version": 1, "records": [{**RIGHT, "size": 10**30}]}).encode(),
        json.dumps({"version": 1, "records": [{**RIGHT, "created": "x" * 1000}]}).encode(),
        json.dumps({"version": 1, "records": [{**RIGHT, "layer": "sha256:"}]}).encode(),
        json.dumps({"version": 1, "mounts": [{"id": "", "diff_id": "", "layer": None}]}).encode(),
    ],
)
def test_absurd_documents(data: bytes) -> None:
    with pytest.raises(InvalidDocument, match=r"^what it is: "):
        decode(data, "what it is")


def test_a_later_version() -> None:
    with pytest.raises(InvalidDocument, match="version 2") as caught:
        decode(b'{"version": 2, "records": 7}', "it")
    assert caught.value.hint is not None


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda x: st.lists(x) | st.dictionaries(st.sampled_from(["version", "records", "key", "layer", "images"]), x),
    )
)
def test_anything_else_is_refused_or_harmless(value: Any) -> None:
    try:
        found = decode(json.dumps(value).encode(), "it")
    except InvalidDocument:
        return
    assert checked(found, ())[0].records == ()


@pytest.mark.parametrize(
    "changes",
    [
        {"diff_id": "sha256:zz"},
        {"diff_id": "md5:" + 32 * "a"},
        {"parent": "nonsense"},
        {"created": "yesterday"},
        {"created": "2024-01-01T00:00:00Z\n"},
        {"layer": layer("somebody else's")},
        {"layer": LayerBlob(GZIP, layer("a").digest, 7)},
        {"layer": LayerBlob(GZIP, "sha256:", 1)},
        {"layer": layer("a", "application/vnd.oci.image.config.v1+json")},
        {"layer": layer("a", "application/vnd.oci.image.layer.v1.tar")},  # uncompressed, but another digest
    ],
)
def test_records_that_cannot_be_right(changes: dict[str, Any]) -> None:
    good = record("b", created="2024-01-01T00:00:00.5Z", parent=f"sha256:{key('p')}")
    blobs = [blob.descriptor for blob in (layer("a"), layer("b"))]
    assert checked(document(record("a", **changes), good), blobs) == (document(good), 1)


def test_images_with_absurd_times() -> None:
    found, refused = checked(document(images={"a": "2024-01-01T00:00:00Z", "b": "\x1b[2J", "c": ""}), ())
    assert (found.images, refused) == ({"a": "2024-01-01T00:00:00Z"}, 2)


def test_merging_keeps_both_and_the_last_writer_wins() -> None:
    theirs = document(record("a"), record("b"), images={"i": "first"})
    ours = document(record("b", layer=layer("b2")), record("c"), images={"i": "second", "j": "x"})
    merged = merge(ours, theirs)
    assert merged is not None
    assert {item.key: item.layer for item in merged.records} == {
        key("a"): layer("a"),
        key("b"): layer("b2"),
        key("c"): layer("c"),
    }
    assert merged.images == {"i": "first", "j": "x"}


def test_nothing_new_is_nothing_to_write() -> None:
    theirs = document(record("a", used=NOW - 60), record("b"), images={"i": "x"})
    assert merge(document(record("a"), images={"i": "y"}), theirs) is None
    # a record that has not been used for long is marked again, so that it is not the first to go
    assert merge(document(record("a")), document(record("a", used=NOW - 7 * 86400))) is not None


def test_those_used_longest_ago_go() -> None:
    theirs = document(*(record(str(number), used=NOW - number, layer=None) for number in range(2100)))
    merged = merge(document(record("new")), theirs)
    assert merged is not None
    assert len(merged.records) == 2000
    keys = {item.key for item in merged.records}
    assert {key("new"), key("1998")} <= keys
    assert key("1999") not in keys


def test_too_large_documents_lose_their_oldest() -> None:
    records = [record(str(n), used=NOW - n, components={"name": "x" * 16000}) for n in range(400)]
    written, data = encode(document(*records))
    assert len(data) <= 4 << 20
    assert 0 < len(written.records) < 400
    assert key("0") in {item.key for item in written.records}


@given(
    st.lists(st.tuples(st.sampled_from("abcde"), st.integers(0, 3))),
    st.lists(st.tuples(st.sampled_from("abcde"), st.integers(0, 3))),
)
def test_merging_loses_no_key(ours: list[tuple[str, int]], theirs: list[tuple[str, int]]) -> None:
    mine = document(*(record(name, layer=layer(f"{name}{number}")) for name, number in dict(ours).items()))
    other = document(*(record(name, layer=layer(f"{name}{number}")) for name, number in dict(theirs).items()))
    merged = merge(mine, other)
    found = {item.key: item for item in (merged or other).records}
    assert set(found) == {item.key for item in (*mine.records, *other.records)}
    assert all(found[item.key].layer == item.layer for item in mine.records)
