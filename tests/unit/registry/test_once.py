"""Blobs of several images that are copied at the same time."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from pywerf.errors import BuildStopped, RegistryError
from pywerf.oci.descriptor import Descriptor
from pywerf.oci.digest import Digest
from pywerf.oci.image_io import BlobChunks
from pywerf.registry.once import BlobsOnTheirWay, OnceDestination
from pywerf.util.promise import run_in_thread

BLOB = Descriptor("", Digest.of(b"blob"), 4)


class Slow:
    """A destination whose blobs are stored when the test says so."""

    def __init__(self) -> None:
        self.stored: list[Digest] = []
        self.begun = threading.Event()
        self.go = threading.Event()
        self.failures: list[Exception] = []

    def has_blob(self, descriptor: Descriptor) -> bool:
        return False

    def put_blob(self, descriptor: Descriptor, chunks: BlobChunks) -> None:
        self.begun.set()
        assert self.go.wait(20)
        if self.failures:
            raise self.failures.pop()
        for _ in chunks():
            pass
        self.stored.append(descriptor.digest)

    def put_blob_stream(self, chunks: Iterator[bytes]) -> tuple[Digest, int]:
        raise NotImplementedError

    def put_manifest(self, data: bytes, media_type: str, *, top: bool = True) -> Digest:
        return Digest.of(data)

    def close(self) -> None:
        """Nothing."""


class Setting:
    def __init__(self) -> None:
        self.place = Slow()
        self.stop = threading.Event()
        self.blobs = BlobsOnTheirWay()

    def send(self) -> bool:
        """Send the blob as one image does; whether it had to be sent."""
        destination = OnceDestination(self.place, self.blobs, self.stop)
        if destination.has_blob(BLOB):
            return False
        destination.put_blob(BLOB, lambda: iter((b"bl", b"ob")))
        return True


@pytest.fixture
def setting() -> Setting:
    return Setting()


def test_the_others_wait_for_the_one_that_sends(setting: Setting) -> None:
    first = run_in_thread(setting.send, "first")
    assert setting.place.begun.wait(20)
    others = [run_in_thread(setting.send, "other") for _ in range(3)]
    assert not any(other.done for other in others)
    setting.place.go.set()
    assert first.result() is True
    assert [other.result() for other in others] == [False] * 3
    assert setting.place.stored == [BLOB.digest]
    assert setting.send() is False


def test_another_takes_over_when_the_first_one_fails(setting: Setting) -> None:
    setting.place.failures = [RegistryError("no")]
    first = run_in_thread(setting.send, "first")
    assert setting.place.begun.wait(20)
    other = run_in_thread(setting.send, "other")
    setting.place.go.set()
    with pytest.raises(RegistryError, match="no"):
        first.result()
    assert other.result() is True
    assert setting.place.stored == [BLOB.digest]


def test_nothing_more_is_sent_after_a_stop(setting: Setting) -> None:
    setting.place.go.set()
    setting.stop.set()
    with pytest.raises(BuildStopped):
        setting.send()
    destination = OnceDestination(setting.place, setting.blobs, setting.stop)
    with pytest.raises(BuildStopped):
        destination.put_manifest(b"{}", "")
    setting.stop.clear()
    assert setting.send() is True  # what was given up can be claimed again


def test_a_stop_ends_a_transfer(setting: Setting) -> None:
    sending = run_in_thread(setting.send, "sending")
    assert setting.place.begun.wait(20)
    setting.stop.set()
    setting.place.go.set()
    with pytest.raises(BuildStopped):
        sending.result()
    assert setting.place.stored == []
