"""Where zstd frames end."""

from __future__ import annotations

import os

import pytest
import zstandard

from pywerf.layer.zstd_frames import FrameScanner
from support.trees import pieces

SKIP = b"\x50\x2a\x4d\x18\x05\0\0\0hello"


def frame(data: bytes, **options: bool) -> bytes:
    return zstandard.ZstdCompressor(level=1, **options).compress(data)


FRAMES = {
    "empty": frame(b""),
    "raw block": frame(os.urandom(1000)),
    "repeated byte": frame(bytes(500_000)),
    "many blocks": frame(b"".join(b"%d" % n for n in range(70_000))),
    "checksum": frame(b"abc" * 100, write_checksum=True),
    "no size": frame(b"abc" * 100, write_content_size=False),
    "large": frame(os.urandom(150_000), write_checksum=True),
    "skippable": SKIP,
}


@pytest.mark.parametrize("name", FRAMES)
@pytest.mark.parametrize("chunk", [1, 1000, 1 << 20])
def test_complete_at_the_ends_of_frames_only(name: str, chunk: int) -> None:
    scanner = FrameScanner()
    data = FRAMES[name]
    for stream in (data, SKIP, data):
        for start in range(0, len(stream), chunk):
            assert scanner.complete is (start == 0)
            scanner.feed(stream[start : start + chunk])
        assert scanner.complete


def test_what_is_no_zstd_is_never_complete() -> None:
    scanner = FrameScanner()
    for piece in pieces(FRAMES["checksum"] + b"garbage" * 10, 50):
        scanner.feed(piece)
    assert not scanner.complete
