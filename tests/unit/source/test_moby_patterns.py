"""Patterns that are not what they look like. The answers are those of moby/patternmatcher."""

from __future__ import annotations

import pytest

from pywerf.errors import PatternError
from pywerf.source.dockerignore import IgnoreRules
from pywerf.source.patterns import matches_or_parent_matches


@pytest.mark.parametrize(
    ("pattern", "matched", "others"),
    [
        (r"a\dc", ["a1c"], ["adc", "a\\dc"]),
        (r"\D\S\W", ["ab.", "-é-"], ["1b.", "a ."]),
        (r"\w*\b", ["ab", "a-b"], ["-b", "a-"]),
        (r"a\B*", ["ab", "a_"], ["a", "a-"]),
        (r"\A?\z", ["a"], ["ab"]),
        (r"\x41\x{1F600}", ["A\U0001f600"], ["x41"]),
        (r"\101\060", ["A0"], ["101060"]),
        (r"\t\n", ["\t\n"], ["tn"]),
        (r"\pL\P{Lu}", ["éa"], ["1a", "aB"]),
        (r"\p{^Nd}\p{Any}", ["a\n"], ["1a"]),
        (r"\Qa.b", ["a\\.b$", "a\\.b$c"], ["a.b", "xa\\.b$"]),
        (r"\Qa\E*", ["a", "ab"], ["b"]),
        ("a^b", ["a^b"], ["ab"]),
        ("a^*", [], ["a^b", "ab"]),
        ("^?", ["a"], ["^a"]),
        ("[*]", ["[]", "]", "^]", "//]"], ["*", "a"]),
        ("a[?]", ["a[]", "a^]"], ["a?"]),
        ("[^*]x", ["aa]x", "]x"], ["ax"]),
        ("[[:alpha:]]x", ["bx"], [":x", "1x"]),
        ("[[:^digit:]2]", ["b", "2"], ["1"]),
        (r"[\d_]", ["1", "_"], ["d", "\\"]),
        ("z|b*", ["z", "zoo", "b", "a/b"], ["a"]),
        ("a|b", ["a|b"], ["a", "b"]),
        ("*.{js,ts}", ["a.{js,ts}"], ["a.js"]),
        ("[ab]{2}", ["ab", "ba"], ["a", "aba", "a{2}"]),
        ("a{2,}?", ["aab", "aaaab"], ["ab", "a{2,}b"]),
        ("?{0,1}", ["a", "b/a"], ["bc/de"]),
        ("a{,2}*", ["a{,2}"], ["aa"]),
        ("a/**/b", ["a/x/b"], ["a/x\ny/b"]),
        ("**/*.o", ["a.o", "b/a\n.o"], ["a\nb/c.o"]),
        ("a*\\", ["a$", "abc$x"], ["a", "a\\"]),
        ("b*[a-]", ["b-", "ba", "bba"], ["b", "bb"]),
    ],
)
def test_as_moby_takes_it(pattern: str, matched: list[str], others: list[str]) -> None:
    rules = IgnoreRules.parse(pattern.replace("\n", "").encode())
    assert rules is not None
    for path in (*matched, *others):
        assert matches_or_parent_matches(path, [pattern]) is (path in matched), path
        if "/" not in path:
            files = rules.files(0, -1)
            assert (files if isinstance(files, bool) else files(path)) is (path not in matched), path


@pytest.mark.parametrize(
    "pattern",
    [
        *(r"\y", r"\é", r"\1", r"\8", r"a\C", r"\E", r"\x4", r"\x{}", r"\x{110000}", r"\pA", r"\p{Greek", "[z-a]"),
        *(r"[a-\d]", r"[\b]", "[[:foo:]]", "{2}*|{2}*", "*{2}", "a{2}{3}*", "a{1001}*", "a{2,1}*", "b*["),
    ],
)
def test_what_is_no_regular_expression(pattern: str) -> None:
    with pytest.raises(PatternError, match="invalid pattern"):
        matches_or_parent_matches("a", [pattern])


def test_many_repetitions_take_no_time() -> None:
    assert not matches_or_parent_matches("a" * 120, ["a{1,60}" * 6 + "[b]*"])
    assert matches_or_parent_matches("a" * 120, ["a{1,60}" * 6 + "*"])
    assert not matches_or_parent_matches("-a" * 60, [r"*\b" * 8 + "[x]"])
    assert matches_or_parent_matches("-a" * 60, [r"*\b" * 8 + r"a|\Bq*"])
