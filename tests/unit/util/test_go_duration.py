"""Durations in Go's syntax (time.ParseDuration, time.Duration.String)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywerf.util.go_duration import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0", 0),
        ("168h", 168 * 3600 * 10**9),
        ("1h15m30.918s", (3600 + 15 * 60 + 30) * 10**9 + 918 * 10**6),
        ("-1.5h", -5400 * 10**9),
        ("+5s", 5 * 10**9),
        (".5s", 5 * 10**8),
        ("1us", 1000),
        ("2µs", 2000),
        ("100ns", 100),
    ],
)
def test_parses_what_go_parses(text: str, nanoseconds: int) -> None:
    assert parse_duration(text) == nanoseconds


@pytest.mark.parametrize("text", ["", "-", "3", "s", ".s", "1x", "1h ", "9999999999h", "1h-2m"])
def test_refuses_what_go_refuses(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0s"),
        (1, "1ns"),
        (1100, "1.1µs"),
        (2_200_000, "2.2ms"),
        (3_300_000_000, "3.3s"),
        (245_000_000_000, "4m5s"),
        (18_367_001_000_000, "5h6m7.001s"),
        (-125_000_000_000, "-2m5s"),
        (480_000_000_001, "8m0.000000001s"),
    ],
)
def test_formats_as_go_does(nanoseconds: int, text: str) -> None:
    assert format_duration(nanoseconds) == text


@given(st.integers(-(1 << 62), 1 << 62))
def test_what_is_formatted_reads_back(nanoseconds: int) -> None:
    assert parse_duration(format_duration(nanoseconds)) == nanoseconds


@given(st.text("0123456789.hmsnuµ-+ ", max_size=12))
def test_any_text_is_a_duration_or_a_value_error(text: str) -> None:
    try:
        parse_duration(text)
    except ValueError:
        pass
