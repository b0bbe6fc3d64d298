"""Compression: recognised, undone as a stream, done the same way each time."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import threading
from collections.abc import Callable

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from pywerf.errors import ArchiveError
from pywerf.layer.compress import compressor, decompress, detect
from pywerf.oci.media_types import Compression
from support.trees import pieces

TEXT = b"".join(b"line %d of a file that compresses\n" % number for number in range(120_000))
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zstd": zstandard.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
}


def pack(compression: Compression, data: bytes, *, threads: int = 1, chunk: int = 100_000) -> bytes:
    out: list[bytes] = []
    state = compressor(compression, out.append, threads=threads)
    for piece in pieces(data, chunk):
        state.write(piece)
    state.close()
    return b"".join(out)


@pytest.mark.parametrize("kind", PACKERS)
def test_detected_by_the_first_bytes(kind: str) -> None:
    assert detect(PACKERS[kind](b"data")[:6]) == kind


@pytest.mark.parametrize("data", [b"", b"\x1f", b"BZhello", b"etc/passwd", bytes(6), b"\xfd7zXY\0"])
def test_everything_else_is_not_compressed(data: bytes) -> None:
    assert detect(data) == "none"
    assert b"".join(decompress([data])) == data


@pytest.mark.parametrize("kind", PACKERS)
@pytest.mark.parametrize("chunk", [1, 7, 100_000])
def test_decompressed_whatever_the_chunks_are(kind: str, chunk: int) -> None:
    data = TEXT[:70_000]
    assert b"".join(decompress(pieces(PACKERS[kind](data), chunk))) == data


@pytest.mark.parametrize("kind", PACKERS)
@pytest.mark.parametrize("chunk", [1, 1 << 20])
def test_several_members(kind: str, chunk: int) -> None:
    packed = PACKERS[kind](b"one ") + PACKERS[kind](b"") + PACKERS[kind](b"two")
    assert b"".join(decompress(pieces(packed, chunk))) == b"one two"


@pytest.mark.parametrize("kind", ["gzip", "bzip2", "xz"])
def test_zeros_after_the_end_are_padding(kind: str) -> None:
    assert b"".join(decompress(pieces(PACKERS[kind](b"data") + bytes(3000), 1000))) == b"data"


def test_zstd_skippable_frames() -> None:
    skip = b"\x5a\x2a\x4d\x18\x03\0\0\0abc"
    assert b"".join(decompress([skip + zstandard.compress(b"data") + skip])) == b"data"


@pytest.mark.parametrize("kind", PACKERS)
def test_every_truncation_is_an_error(kind: str) -> None:
    packed = PACKERS[kind](TEXT[:2000] + os.urandom(200))
    for end in range(6, len(packed)):
        with pytest.raises(ArchiveError, match="layer of busybox"):
            for _ in decompress([packed[:end]], what="layer of busybox"):
                pass


@pytest.mark.parametrize("kind", PACKERS)
def test_damage_is_an_error(kind: str) -> None:
    text = TEXT[:300_000]
    packed = bytearray(pack("zstd", text) if kind == "zstd" else PACKERS[kind](text))
    packed[len(packed) // 2] ^= 0x40
    with pytest.raises(ArchiveError):
        for _ in decompress([bytes(packed)]):
            pass


@pytest.mark.parametrize("kind", PACKERS)
def test_bomb_comes_in_small_pieces(kind: str) -> None:
    bomb = PACKERS[kind](bytes(24 << 20))
    sizes = [len(piece) for piece in decompress([bomb])]
    assert sum(sizes) == 24 << 20
    assert max(sizes) <= 256 << 10


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_output_depends_on_neither_threads_nor_chunks(compression: Compression) -> None:
    results = {
        pack(compression, TEXT, threads=threads, chunk=chunk) for threads in (1, 2, 3) for chunk in (99_999, 5 << 20)
    }
    assert len(results) == 1
    unpack = gzip.decompress if compression == "gzip" else zstandard.ZstdDecompressor().decompressobj().decompress
    assert unpack(results.pop()) == TEXT


def test_gzip_header_has_no_time_and_no_name() -> None:
    assert pack("gzip", b"x")[:10] == b"\x1f\x8b\x08\0\0\0\0\0\0\xff"


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 2 << 20])
def test_gzip_around_the_size_of_its_blocks(size: int) -> None:
    for threads in (1, 2):
        assert gzip.decompress(pack("gzip", TEXT[:size], threads=threads)) == TEXT[:size]


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
@pytest.mark.parametrize("level", [0, 1, 3])
def test_levels(compression: Compression, level: int) -> None:
    out: list[bytes] = []
    state = compressor(compression, out.append, level=level, threads=1)
    state.write(TEXT)
    state.close()
    assert b"".join(decompress(out)) == TEXT


@given(st.binary(max_size=2000), st.sampled_from(["gzip", "zstd"]))
def test_round_trip(data: bytes, compression: Compression) -> None:
    assert b"".join(decompress([pack(compression, data)])) == data


@pytest.mark.parametrize("end", ["abort", "error"])
def test_no_thread_is_left_behind(end: str) -> None:
    def out(data: bytes) -> None:
        if end == "error" and len(data) > 10:
            raise OSError("disk full")

    before = set(threading.enumerate())
    state = compressor("gzip", out, threads=3)
    try:
        for _ in range(10):
            state.write(TEXT)
        assert end == "abort"
    except OSError:
        assert end == "error"
    state.abort()
    assert set(threading.enumerate()) <= before
