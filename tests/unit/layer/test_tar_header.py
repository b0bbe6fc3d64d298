"""The fast way to a header and the general one give the same bytes."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pywerf.layer.tar_header import NANOSECONDS, Headers

NAMES = st.lists(st.binary(min_size=1, max_size=120), min_size=1, max_size=5).map(
    lambda parts: b"/".join(part.replace(b"\0", b"x").replace(b"/", b"y") for part in parts)
)
IDS = st.one_of(st.integers(0, 70_000), st.integers(0, (1 << 32) - 2))
TIMES = st.one_of(st.integers(0, 1 << 33), st.integers(-(1 << 40), 1 << 40))
SIZES = st.one_of(st.integers(0, 1 << 20), st.integers(0, 1 << 40))


@given(NAMES, st.integers(0, 0o7777), IDS, IDS, SIZES, TIMES, st.one_of(st.just(1 << 62), TIMES))
@example(b"a" * 100, 0o644, 0, 0, 1, 5, 1 << 62)
@example(b"a" * 101, 0o644, 0, 0, 1, 5, 1 << 62)
@example(b"d" * 155 + b"/" + b"a" * 100, 0o7777, 0o7777777, 0o7777777, 0o77777777777, 0o77777777777, 1 << 62)
@example(b"\xff" * 155 + b"/" + b"\xff" * 100, 0o644, 1, 2, 3, 9, 4)
def test_both_ways_give_the_same(name: bytes, mode: int, uid: int, gid: int, size: int, mtime: int, clamp: int) -> None:
    headers = Headers(clamp, subsecond=False)
    for _ in range(2):  # what is remembered of owners changes nothing
        fast = headers.file(name, mode, uid, gid, size, mtime)
        whole = Headers(clamp, subsecond=False).entry(name, b"0", mode, uid, gid, size, mtime * NANOSECONDS + 7)
        assert whole == fast if fast else len(whole) > 512


@pytest.mark.parametrize(
    ("name", "uid", "size", "mtime"),
    [
        (b"n" * 101, 0, 0, 0),
        (b"n", 0o10000000, 0, 0),
        (b"n", 0, 1 << 33, 0),
        (b"n", 0, 0, -1),
        (b"n", 0, 0, 1 << 33),
    ],
)
def test_what_ustar_cannot_hold_has_no_fast_way(name: bytes, uid: int, size: int, mtime: int) -> None:
    headers = Headers(1 << 62, subsecond=False)
    assert headers.file(b"other", 0o644, 0, 0, 0, 0)
    assert headers.file(name, 0o644, uid, 0, size, mtime) == b""
    assert headers.file(name, 0o644, 0, uid, size, mtime) == b""
