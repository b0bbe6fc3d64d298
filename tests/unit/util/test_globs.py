"""Globs with `**` and alternatives (the table follows doublestar's documentation)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywerf.util.globs import compile_glob, covers, literal_prefix


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("a", "a", True),
        ("a", "b", False),
        ("*", "abc", True),
        ("*", "a/b", False),
        ("?", "é", True),
        ("?", "/", False),
        ("a/**", "a", True),
        ("a/**", "a/b/c", True),
        ("a/**", "ab", False),
        ("**/c", "c", True),
        ("**/c", "a/b/c", True),
        ("a/**/c", "a/c", True),
        ("a/**/c", "a/b/x/c", True),
        ("a/**/c", "ac", False),
        ("**/*.tmpl", "x/y.tmpl", True),
        ("**/*.tmpl", "y.tmpl", True),
        ("a**b", "axxb", True),
        ("a**b", "ax/xb", False),
        ("{a,b}/c", "b/c", True),
        ("{a,b}/c", "d/c", False),
        ("{a,{b,c}d}", "cd", True),
        ("{**/a,b}", "x/a", True),
        ("[a-c]x", "bx", True),
        ("[^a-c]x", "bx", False),
        ("[!a-c]x", "zx", True),
        ("[]]", "]", True),
        ("[+--?]", ",", True),
        ("[+--?]", "?", True),
        ("[+--?]", ".", False),
        ("[a-]", "-", True),
        (r"\*", "*", True),
        (r"\*", "a", False),
        ("a.b", "axb", False),
        ("**", "a/b", True),
        ("a\nb", "a\nb", True),
    ],
)
def test_matches(pattern: str, path: str, matches: bool) -> None:
    assert compile_glob(pattern)(path) is matches


@pytest.mark.parametrize("pattern", ["[a", "{a", "a\\", "[b-a]", "x" * 2000])
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        compile_glob(pattern)


@pytest.mark.parametrize("pattern", ["a", "a/", "a/*", "a/**", "./a", "a/**/*"])
def test_a_directory_covers_what_is_below_it(pattern: str) -> None:
    test = covers([pattern])
    assert [test(path) for path in ("a", "a/b", "a/b/c", "ab", "b/a")] == [True, True, True, False, False]


@pytest.mark.parametrize("pattern", ["*", "**", "**/*", "."])
def test_everything_is_covered(pattern: str) -> None:
    assert covers([pattern])("a/b")


def test_nothing_covers_nothing() -> None:
    assert not covers([])("a")


@pytest.mark.parametrize(
    ("pattern", "prefix"), [("a/b/*.x", "a/b"), ("*.x", ""), ("a/b", "a"), ("a", ""), ("a/{b,c}/d", "a")]
)
def test_the_part_without_wildcards(pattern: str, prefix: str) -> None:
    assert literal_prefix(pattern) == prefix


@given(st.text("ab/*?[]{},!^-\\", max_size=20), st.text("ab/", max_size=10))
def test_any_text_is_a_pattern_or_a_value_error(pattern: str, path: str) -> None:
    try:
        compile_glob(pattern)(path)
        covers([pattern])(path)
    except ValueError:
        pass


@given(st.text("ab/.-", max_size=20))
def test_a_text_without_wildcards_matches_itself_alone(text: str) -> None:
    assert compile_glob(text)(text)
    assert not compile_glob(text)(text + "x")
