from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywerf.frontend.dockerfile.patterns import parse_pattern, replace, trim_prefix, trim_suffix

patterns = st.text(alphabet="ab*?\n", max_size=6)
values = st.text(alphabet="ab\n", max_size=10)


def as_regex(pattern: str, star: str) -> str:
    return "".join({"*": star, "?": "."}.get(char, re.escape(char)) for char in pattern)


@given(values, patterns)
def test_replacing_agrees_with_regular_expressions(value: str, pattern: str) -> None:
    expected = re.sub(as_regex(pattern, ".*"), "X", value, count=1)
    assert replace(value, parse_pattern(pattern), "X", False) == expected


@given(values, st.text(alphabet="ab?\n", min_size=1, max_size=3))
def test_replacing_all_agrees_with_regular_expressions(value: str, pattern: str) -> None:
    assert replace(value, parse_pattern(pattern), "X", True) == re.sub(as_regex(pattern, ".*"), "X", value)


@given(values.filter(lambda text: "\n" not in text), patterns.filter(lambda text: "\n" not in text))
def test_trimming_takes_the_shortest_and_the_longest(value: str, pattern: str) -> None:
    regex = as_regex(pattern, ".*")
    heads = [i for i in range(len(value) + 1) if re.fullmatch(regex, value[:i])]
    tails = [i for i in range(len(value) + 1) if re.fullmatch(regex, value[i:])]
    items = parse_pattern(pattern)
    assert trim_prefix(value, items, False) == value[min(heads, default=0) :]
    assert trim_prefix(value, items, True) == value[max(heads, default=0) :]
    assert trim_suffix(value, items, False) == value[: max(tails, default=len(value))]
    assert trim_suffix(value, items, True) == value[: min(tails, default=len(value))]


def test_empty_matches_between_characters() -> None:
    assert replace("ab", parse_pattern(""), "-", True) == "-a-b-"
    assert replace("ab", parse_pattern("*"), "-", True) == "-"


@pytest.mark.parametrize("pattern", ["\\a", "a\\"])
def test_wrong_escapes(pattern: str) -> None:
    with pytest.raises(ValueError, match="invalid escape"):
        parse_pattern(pattern)
