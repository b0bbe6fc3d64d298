"""Where layers go: digests, sizes, order, errors, threads."""

from __future__ import annotations

import gzip
import hashlib
import os
import threading

import pytest

from pywerf.layer.sink import LayerSink
from pywerf.oci.digest import Digest
from pywerf.oci.media_types import Compression

SMALL = [b"a" * 1000, b"", b"b" * 7]
LARGE = [os.urandom(1 << 19) for _ in range(12)]


@pytest.mark.parametrize("chunks", [[], SMALL, LARGE], ids=["empty", "small", "large"])
@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_sums_are_those_of_the_bytes(chunks: list[bytes], compression: Compression) -> None:
    out: list[bytes] = []
    before = set(threading.enumerate())
    with LayerSink(out.append, compression=compression, threads=2) as sink:
        for chunk in chunks:
            sink.write(chunk)
        result = sink.finish()
    tar, blob = b"".join(chunks), b"".join(out)
    assert (result.diff_id, result.size) == (Digest.of(tar), len(tar))
    assert (result.digest, result.blob_size) == (Digest.of(blob), len(blob))
    if compression == "gzip":
        assert gzip.decompress(blob) == tar
    if compression == "none":
        assert blob == tar
    assert set(threading.enumerate()) <= before


def test_without_an_out_it_only_sums() -> None:
    sink = LayerSink()
    for chunk in LARGE:
        sink.write(chunk)
    assert sink.finish().diff_id.hex == hashlib.sha256(b"".join(LARGE)).hexdigest()
    assert sink.finish() is sink.finish()


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_errors_of_the_store_come_back(compression: Compression) -> None:
    def full(data: bytes) -> None:
        raise OSError("disk full")

    before = set(threading.enumerate())
    with (  # noqa: PT012 - it may be any call
        pytest.raises(OSError, match="disk full"),
        LayerSink(full, compression=compression, threads=2) as sink,
    ):
        for chunk in LARGE:
            sink.write(chunk)
        sink.finish()
    assert set(threading.enumerate()) <= before


def test_leaving_by_an_error_ends_the_threads() -> None:
    before = set(threading.enumerate())
    with (  # noqa: PT012 - the threads have to be there first
        pytest.raises(KeyError),
        LayerSink(lambda data: None, compression="gzip", threads=2) as sink,
    ):
        for chunk in LARGE:
            sink.write(chunk)
        raise KeyError
    assert set(threading.enumerate()) <= before
