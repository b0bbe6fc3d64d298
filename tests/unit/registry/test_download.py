"""Blobs on their way in: verified, resumed, given up."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from pywerf.errors import DigestMismatch, RegistryError, RegistryNotFound
from pywerf.oci.descriptor import Descriptor
from pywerf.oci.digest import Digest
from pywerf.registry.client import RegistryClient
from support.examples import examples
from support.fake_registry import FakeRegistry

DATA = bytes(range(256)) * 4096  # 1 MiB


def descriptor(data: bytes) -> Descriptor:
    return Descriptor("application/octet-stream", Digest.of(data), len(data))


def test_blob_arrives_whole(client: RegistryClient, fake_registry: FakeRegistry) -> None:
    fake_registry.add_blob("app", DATA)
    assert b"".join(client.blob("app", descriptor(DATA))) == DATA
    assert len(fake_registry.seen("GET", "/blobs/")) == 1


def test_no_request_before_first_chunk(client: RegistryClient, fake_registry: FakeRegistry) -> None:
    client.blob("app", descriptor(DATA))
    assert fake_registry.requests == []


def test_broken_download_goes_on_where_it_stopped(client: RegistryClient, fake_registry: FakeRegistry) -> None:
    fake_registry.add_blob("app", DATA)
    fake_registry.drop_download_after = [700_000, 100_000]
    assert b"".join(client.blob("app", descriptor(DATA))) == DATA
    starts = [request.headers.get("range") for request in fake_registry.seen("GET", "/blobs/")]
    assert starts[0] is None
    assert all(start is not None and start != "bytes=0-" for start in starts[1:])
    assert len(starts) == 3


def test_broken_download_without_ranges_starts_again(client: RegistryClient, fake_registry: FakeRegistry) -> None:
    fake_registry.add_blob("app", DATA)
    fake_registry.ranges = False
    fake_registry.drop_download_after = [500_000]
    assert b"".join(client.blob("app", descriptor(DATA))) == DATA


def test_broken_download_of_unannounced_length(client: RegistryClient, fake_registry: FakeRegistry) -> None:
    fake_registry.add_blob("app", DATA)
    fake_registry.announce_length = False
    fake_registry.drop_download_after = [500_000]
    assert b"".join(client.blob("app", descriptor(DATA))) == DATA


def test_progress_renews_patience(client: RegistryClient, fake_registry: FakeRegistry) -> None:
    fake_registry.add_blob("app", DATA)
    # more failures than the three retries, each after 100 kB
    fake_registry.drop_download_after = [100_000] * 8
    assert b"".join(client.blob("app", descriptor(DATA))) == DATA


def test_no_progress_is_given_up(client: RegistryClient, fake_registry: FakeRegistry) -> None:
    fake_registry.add_blob("app", DATA)
    fake_registry.drop_download_after = [10] * 20
    with pytest.raises(RegistryError, match="closed the connection too early"):
        b"".join(client.blob("app", descriptor(DATA)))
    assert len(fake_registry.seen("GET", "/blobs/")) == 4


@pytest.mark.parametrize("lie", [DATA[:-1] + b"X", DATA + b"more", DATA[:-5], b""])
def test_wrong_content_is_noticed(client: RegistryClient, fake_registry: FakeRegistry, lie: bytes) -> None:
    digest = fake_registry.add_blob("app", DATA)
    fake_registry.substitutes[digest] = lie
    received: list[bytes] = []
    with pytest.raises(DigestMismatch):
        received.extend(client.blob("app", descriptor(DATA)))
    assert sum(map(len, received)) <= len(DATA)


def test_missing_blob(client: RegistryClient) -> None:
    with pytest.raises(RegistryNotFound, match="blob unknown"):
        next(client.blob("app", descriptor(DATA)))


def test_abandoned_download_leaves_client_usable(client: RegistryClient, fake_registry: FakeRegistry) -> None:
    fake_registry.add_blob("app", DATA)
    chunks = client.blob("app", descriptor(DATA))
    next(chunks)
    del chunks
    assert b"".join(client.blob("app", descriptor(DATA))) == DATA


@examples(15, suppress=[HealthCheck.function_scoped_fixture])
@given(drops=st.lists(st.integers(0, 40_000), max_size=3), size=st.integers(0, 50_000), ranges=st.booleans())
def test_any_interruption_gives_the_same_bytes(
    make_client: Callable[..., RegistryClient],
    fake_registry: FakeRegistry,
    drops: list[int],
    size: int,
    ranges: bool,
) -> None:
    data = (DATA + DATA[7:])[:size]
    fake_registry.add_blob("any", data)
    fake_registry.ranges = ranges
    fake_registry.drop_download_after = list(drops)
    assert b"".join(make_client().blob("any", descriptor(data))) == data
    fake_registry.drop_download_after = []
