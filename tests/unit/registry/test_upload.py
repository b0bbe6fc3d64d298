"""Blobs on their way out: one request, pieces, mounts, and everything that can break."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from pywerf.errors import DigestMismatch, RegistryError
from pywerf.oci.descriptor import Descriptor
from pywerf.oci.digest import Digest
from pywerf.registry.client import RegistryClient
from support.examples import examples
from support.fake_registry import FakeRegistry

DATA = bytes(range(251)) * 400  # 100 kB; pieces of the test clients are 16 KiB


def descriptor(data: bytes = DATA) -> Descriptor:
    return Descriptor("application/octet-stream", Digest.of(data), len(data))


def chunks(data: bytes = DATA, size: int = 5000) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def stored(registry: FakeRegistry, data: bytes = DATA) -> bool:
    return registry.blobs.get(("app", str(Digest.of(data)))) == data


def test_known_blob_goes_in_one_request(client: RegistryClient, fake_registry: FakeRegistry) -> None:
    client.put_blob("app", descriptor(), chunks)
    assert stored(fake_registry)
    assert [request.method for request in fake_registry.requests if "uploads" in request.path] == ["POST", "PUT"]
    assert fake_registry.seen("PUT")[0].size == len(DATA)


def test_broken_upload_goes_on_where_it_stopped(client: RegistryClient, fake_registry: FakeRegistry) -> None:
    fake_registry.drop_upload_after = [40_000]
    client.put_blob("app", descriptor(), chunks)
    assert stored(fake_registry)
    first, second = fake_registry.seen("PUT")
    assert first.size == len(DATA)
    assert second.headers["content-range"] == f"40000-{len(DATA) - 1}"


def test_forgotten_upload_starts_again(client: RegistryClient, fake_registry: FakeRegistry) -> None:
    fake_registry.drop_upload_after = [40_000]
    fake_registry.forget_uploads = True
    client.put_blob("app", descriptor(), chunks)
    assert stored(fake_registry)
    assert [request.size for request in fake_registry.seen("PUT")] == [len(DATA), len(DATA)]


def test_lost_answer_is_no_second_upload(client: RegistryClient, fake_registry: FakeRegistry) -> None:
    fake_registry.swallow_answers = ["PUT /v2/app/blobs/uploads/upload-0"]
    client.put_blob("app", descriptor(), chunks)
    assert stored(fake_registry)
    assert len(fake_registry.seen("PUT")) == 1


def test_server_errors_are_tried_again(client: RegistryClient, fake_registry: FakeRegistry) -> None:
    fake_registry.fail("POST", "uploads", 503)
    fake_registry.fail("PUT", "uploads", 500)
    client.put_blob("app", descriptor(), chunks)
    assert stored(fake_registry)


def test_refusal_is_final(client: RegistryClient, fake_registry: FakeRegistry) -> None:
    fake_registry.fail("POST", "uploads", 403, body={"errors": [{"code": "DENIED", "message": "requested access"}]})
    with pytest.raises(RegistryError, match="requested access") as caught:
        client.put_blob("app", descriptor(), chunks)
    assert caught.value.status == 403
    assert caught.value.code == "DENIED"
    assert len(fake_registry.seen("POST")) == 1


@pytest.mark.parametrize("source", [DATA[:-1], DATA + b"x"])
def test_source_of_wrong_size_is_not_stored(client: RegistryClient, fake_registry: FakeRegistry, source: bytes) -> None:
    with pytest.raises(DigestMismatch):
        client.put_blob("app", descriptor(), lambda: chunks(source))
    assert not fake_registry.blobs
    assert len(fake_registry.awaited("PUT", 1)) == 1


def test_error_of_the_source_is_not_taken_for_the_connections(
    client: RegistryClient, fake_registry: FakeRegistry
) -> None:
    def broken() -> Iterator[bytes]:
        yield DATA[:1000]
        raise OSError(5, "the disk is broken")

    with pytest.raises(OSError, match="the disk is broken"):
        client.put_blob("app", descriptor(), broken)
    assert len(fake_registry.awaited("PUT", 1)) == 1
    assert fake_registry.uploads == {}


def test_stream_goes_in_pieces(client: RegistryClient, fake_registry: FakeRegistry) -> None:
    assert client.put_blob_stream("app", chunks()) == (Digest.of(DATA), len(DATA))
    assert stored(fake_registry)
    sizes = [request.size for request in fake_registry.seen("PATCH")]
    assert len(sizes) == 5
    assert all(16 << 10 <= size < (16 << 10) + 5000 for size in sizes)
    ranges = [request.headers["content-range"] for request in fake_registry.seen("PATCH")]
    assert ranges[0] == "0-19999"
    assert ranges[1] == "20000-39999"


def test_short_stream_needs_no_patch(client: RegistryClient, fake_registry: FakeRegistry) -> None:
    assert client.put_blob_stream("app", chunks(b"short")) == (Digest.of(b"short"), 5)
    assert client.put_blob_stream("app", iter(())) == (Digest.of(b""), 0)
    assert fake_registry.seen("PATCH") == []
    assert stored(fake_registry, b"short")
    assert stored(fake_registry, b"")


def test_registrys_minimum_of_a_piece(client: RegistryClient, fake_registry: FakeRegistry) -> None:
    fake_registry.minimum_chunk = 50_000
    client.put_blob_stream("app", chunks())
    assert [request.size for request in fake_registry.seen("PATCH")] == [50_000, 50_000]


def test_lost_stream_says_so(client: RegistryClient, fake_registry: FakeRegistry) -> None:
    fake_registry.drop_upload_after = [7_000]
    fake_registry.forget_uploads = True
    with pytest.raises(RegistryError, match="lost the upload"):
        client.put_blob_stream("app", chunks())


def test_lost_answer_of_the_last_piece(client: RegistryClient, fake_registry: FakeRegistry) -> None:
    fake_registry.swallow_answers = ["PUT /v2/app/blobs/uploads/upload-0"]
    client.put_blob_stream("app", chunks())
    assert stored(fake_registry)


def test_out_of_step_asks_where_to_go_on(client: RegistryClient, fake_registry: FakeRegistry) -> None:
    fake_registry.swallow_answers = ["PATCH /v2/app/blobs/uploads/upload-0"]
    fake_registry.fail("PATCH", "uploads", 416)
    client.put_blob_stream("app", chunks())
    assert stored(fake_registry)


@examples(15, suppress=[HealthCheck.function_scoped_fixture])
@given(drops=st.lists(st.integers(1, 30_000), max_size=3), size=st.integers(0, 60_000), piece=st.integers(500, 40_000))
def test_any_interruption_gives_the_same_blob(
    make_client: Callable[..., RegistryClient], fake_registry: FakeRegistry, drops: list[int], size: int, piece: int
) -> None:
    data = DATA[:size]
    for known in (True, False):
        fake_registry.blobs.clear()
        fake_registry.drop_upload_after = list(drops)
        if known:
            make_client().put_blob("app", descriptor(data), lambda: chunks(data, piece))
        else:
            assert make_client().put_blob_stream("app", chunks(data, piece)) == (Digest.of(data), size)
        assert stored(fake_registry, data)


def test_mount(client: RegistryClient, fake_registry: FakeRegistry) -> None:
    digest = Digest.parse(fake_registry.add_blob("base", DATA))
    assert client.mount_blob("app", digest, "base")
    assert stored(fake_registry)
    assert len(fake_registry.requests) == 2  # https or http?, and the mount


@pytest.mark.parametrize("status", [None, 404, 405, 401])
def test_impossible_mount_is_no_error(client: RegistryClient, fake_registry: FakeRegistry, status: int | None) -> None:
    digest = Digest.parse(fake_registry.add_blob("base", DATA))
    fake_registry.mounts = False
    if status:
        fake_registry.fail("POST", "mount", status, times=3)
    assert not client.mount_blob("app", digest, "base")
    assert fake_registry.uploads == {}
