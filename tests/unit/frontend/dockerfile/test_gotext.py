from __future__ import annotations

import pytest

from pywerf.errors import DockerfileError
from pywerf.frontend.dockerfile.gotext import csv_fields, fields, parse_duration, parse_size, quote, split_once
from pywerf.util.suggest import did_you_mean, nearest


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0", 0),
        ("1ns", 1),
        ("1us", 1_000),
        ("1\xb5s", 1_000),
        ("1ms", 1_000_000),
        ("1.5s", 1_500_000_000),
        (".5s", 500_000_000),
        ("1.s", 1_000_000_000),
        ("1h2m3s", 3_723_000_000_000),
        ("-1m", -60_000_000_000),
        ("+1m", 60_000_000_000),
    ],
)
def test_durations(text: str, nanoseconds: int) -> None:
    assert parse_duration(text) == nanoseconds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "invalid duration"),
        ("-", "invalid duration"),
        ("s", "invalid duration"),
        (".s", "invalid duration"),
        ("1", "missing unit"),
        ("1m2", "missing unit"),
        ("1x", 'unknown unit "x"'),
        ("1 s", 'unknown unit " s"'),
        ("999999999h", "invalid duration"),
    ],
)
def test_refused_durations(text: str, message: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        parse_duration(text)
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("text", "size"),
    [("1", 1), ("1k", 1024), ("1.5 GiB", 3 << 29), ("2MB", 2 << 20), ("1b", 1), ("x", None), ("", None), ("1x", None)],
)
def test_sizes(text: str, size: int | None) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a,b=c", ["a", "b=c"]),
        ('"a,b","c""d",', ["a,b", 'c"d', ""]),
        ("a,,b", ["a", "", "b"]),
        ('""', [""]),
        ("", None),
        ('a"b', None),
        ('"a', None),
        ('"a"b', None),
    ],
)
def test_csv(text: str, found: list[str] | None) -> None:
    assert csv_fields(text) == found


def test_quoting() -> None:
    assert quote("a b") == '"a b"'
    assert quote('"\\\n\x00\x7f') == '"\\"\\\\\\n\\x00\\x7f"'
    assert quote("é\u00a0\u2028\udcff\U0001f600\U000e0001") == '"é\\u00a0\\u2028\\xff😀\\U000e0001"'


def test_blanks_are_those_of_ascii() -> None:
    assert fields("a\tb  c") == ["a", "b", "c"]
    assert fields("a\u2003b é") == ["a\u2003b", "é"]
    assert fields("a\x1cb c") == ["a\x1cb", "c"]
    assert fields("") == []
    assert split_once("a  b c") == ["a", "b c"]
    assert split_once("é\tb c") == ["é", "b c"]
    assert split_once("") == [""]


def test_suggestions() -> None:
    assert nearest("COPPY", ("ADD", "COPY", "CMD")) == "COPY"
    assert nearest("COPY", ("COPY",)) == ""
    assert nearest("XYZ", ("COPY",)) == ""
    assert nearest("AB", ("CD",)) == ""
    assert did_you_mean("Ful", ("full",), fold=True) == " (did you mean full?)"
    assert did_you_mean("zzzz", ("full",)) == ""
