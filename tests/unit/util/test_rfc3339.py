"""Times of images in nanoseconds."""

from __future__ import annotations

import pytest

from pywerf.util.rfc3339 import nanoseconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:01.5Z", 1_500_000_000),
        ("2024-01-31T12:00:00.123456789Z", 1706702400_123456789),
        ("2024-01-31T15:00:00.123456789123+03:00", 1706702400_123456789),
        ("0001-01-01T00:00:00Z", -62135596800 * 10**9),
        ("2024-13-31T12:00:00Z", 0),
        ("yesterday", 0),
        ("", 0),
    ],
)
def test_times(text: str, expected: int) -> None:
    assert nanoseconds(text) == expected
