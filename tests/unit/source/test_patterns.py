from __future__ import annotations

import string
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywerf.errors import PatternError
from pywerf.source.patterns import PatternMatcher, clean, glob, has_wildcard, match, matches_or_parent_matches
from support.examples import examples


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("docs", "docs", True),
        ("docs", "docs/a/b", True),
        ("docs/", "docs/a", True),
        ("./docs/../docs", "docs", True),
        ("docs", "a/docs", False),
        ("*.md", "a.md", True),
        ("*.md", "a/b.md", False),
        ("**/*.md", "b.md", True),
        ("**/*.md", "a/b/c.md", True),
        ("**/*.md", "a/b.md.d", False),
        ("**/*.md", "a.md/b", True),
        ("a/**", "a", False),
        ("a/**", "a/b/c", True),
        ("a**", "abc/d", True),
        ("**b", "a/xb", True),
        ("**b", "a/xc", False),
        ("**/b", "xb", False),
        ("a/**/b", "a/b", True),
        ("a/**/b", "a/x/y/b", True),
        ("a**b", "a/x/b", True),
        ("a**b", "axb", False),
        ("**/**/b", "a/b", True),
        ("**/**/b", "a/xb", False),
        ("?", "é", True),
        ("?", "/", False),
        ("a?c", "a/c", False),
        ("[a-c]x", "bx", True),
        ("[^a-c]x", "bx", False),
        ("a[^b]c", "a/c", True),
        ("a\\*c", "a*c", True),
        ("a\\*c", "abc", False),
        ("a.c", "abc", False),
        ("a+(b)$", "a+(b)$", True),
        ("(a|b)*", "(a|b)c", True),
        (".*", ".git/config", True),
        ("*\n*", "a\nb", True),
    ],
)
def test_one_pattern(pattern: str, path: str, expected: bool) -> None:
    assert matches_or_parent_matches(path, [pattern]) is expected


@pytest.mark.parametrize(
    ("patterns", "path", "expected"),
    [
        (["*", "!a"], "a", False),
        (["!a", "*"], "a", True),
        (["*", "!a", "a/b"], "a/b", True),
        (["*", "!a", "a/b"], "a/c", False),
        (["a", "!a/b", "a/b/c"], "a/b/c/d", True),
        (["**", "!d/f", "d"], "d/f", True),
        (["", "  ", "a"], "a", True),
        ([" a "], "a", True),
        (["a", "  !a "], "a", False),
    ],
)
def test_the_last_match_decides(patterns: list[str], path: str, expected: bool) -> None:
    assert matches_or_parent_matches(path, patterns) is expected


def test_the_context_itself_is_never_matched() -> None:
    assert not matches_or_parent_matches(".", ["**"])
    assert not matches_or_parent_matches("a/..", ["**", "."])


def test_variants_differ_in_what_they_say_of_parents() -> None:
    matcher = PatternMatcher(["*/b"])
    assert matcher.matches_or_parent_matches("a/b/c/d")
    assert matcher.matches("a/b/c/d")
    assert not matcher.matches_exact("a/b/c/d")
    deep = PatternMatcher(["**/b"])
    assert deep.matches_or_parent_matches("x/y/b/c")
    assert not deep.matches("x/y/b/c")  # two names in the pattern: only x/y is asked


@pytest.mark.parametrize(
    "pattern", ["[", "a[", "[^", "[]a]", "[-]", "[x-]", "[-x]", "[a-b-c]", "\\", "a\\", "[a", "[a-", "[a\\", "[\udcff]"]
)
def test_bad_patterns(pattern: str) -> None:
    with pytest.raises(PatternError, match="invalid pattern"):
        PatternMatcher([pattern])
    with pytest.raises(PatternError, match="invalid pattern"):
        match(pattern, "a")


def test_an_error_names_file_line_and_pattern() -> None:
    with pytest.raises(PatternError) as caught:
        PatternMatcher(["a", "[x-]"], file=".dockerignore", lines=[1, 7])
    assert caught.value.message.startswith('.dockerignore:7: invalid pattern "[x-]": ')
    assert caught.value.hint is not None
    with pytest.raises(PatternError, match=r'^illegal exclusion pattern "!"$'):
        PatternMatcher(["!"])


def test_a_reversed_range_is_an_error_for_moby_and_empty_for_go() -> None:
    with pytest.raises(PatternError, match="reversed"):
        PatternMatcher(["[z-a]"])
    assert not match("[z-a]", "m")
    assert match("[^z-a]", "m")


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("abc", "abc", True),
        ("*", "abc", True),
        ("*", "a/c", False),
        ("**", "a/c", False),
        ("a*/b", "abc/b", True),
        ("a*/b", "a/c/b", False),
        ("a*b*c*d*e*/f", "axbxcxdxexxx/f", True),
        ("a*b?c*x", "abxbbxdbxebxczzx", True),
        ("a*b?c*x", "abxbbxdbxebxczzy", False),
        ("*x", "xxx", True),
        ("a[[]0].txt", "a[0].txt", True),
        ("[\\]a]", "]", True),
        ("", "", True),
        ("", "a", False),
        ("*", "", True),
        ("[a-ζ]*", "α", True),
        ("a???b", "a☺b", False),
    ],
)
def test_match_is_go_filepath_match(pattern: str, name: str, expected: bool) -> None:
    assert match(pattern, name) is expected


def test_hostile_patterns_take_no_time() -> None:
    name = "a" * 250
    assert not PatternMatcher(["a*" * 40 + "b"]).matches_exact(name)
    assert not PatternMatcher(["[^x]*" * 40 + "b"]).matches_exact(name)
    assert not PatternMatcher(["**/a*" * 20 + "/b"]).matches_exact("/".join(["a" * 5] * 40))
    assert not match("*a" * 40 + "b", name)


@pytest.mark.parametrize(
    ("path", "cleaned"),
    [("", "."), ("a//b/./c/../d/", "a/b/d"), ("//a", "/a"), ("/../a", "/a"), ("../a", "../a"), ("/", "/")],
)
def test_clean_is_go_filepath_clean(path: str, cleaned: str) -> None:
    assert clean(path) == cleaned


# An independent reference: patterns matched by trying everything, character by character.


def reference_match(pattern: str, path: str) -> bool:
    """Whole-path matching of one pattern whose syntax is right."""
    if pattern.startswith("**") and not any(char in pattern[2:] for char in "*?[\\"):
        # the literal suffix of moby: with a slash it begins a name, else it may be the end of one
        suffix = pattern[2:]
        return path.endswith(suffix) or (suffix.startswith("/") and path == suffix[1:])

    def rest(at: int, position: int) -> bool:
        if at == len(pattern):
            return position == len(path)
        if pattern.startswith("**", at):
            after = at + 3 if pattern.startswith("/", at + 2) else at + 2
            if after == len(pattern):
                return True
            if rest(after, position):
                return True
            return any(path[stop - 1] == "/" and rest(after, stop) for stop in range(position + 1, len(path) + 1))
        char = pattern[at]
        if char == "*":
            stop = position
            while True:
                if rest(at + 1, stop):
                    return True
                if stop == len(path) or path[stop] == "/":
                    return False
                stop += 1
        if position == len(path):
            return False
        if char == "?":
            return path[position] != "/" and rest(at + 1, position + 1)
        if char == "[":
            end, members, negated = at + 1, set(), False
            if pattern[end] == "^":
                negated, end = True, end + 1
            while pattern[end] != "]":
                low = high = pattern[end]
                if pattern[end + 1] == "-":
                    high, end = pattern[end + 2], end + 2
                members.update(chr(code) for code in range(ord(low), ord(high) + 1))
                end += 1
            return (path[position] in members) != negated and rest(end + 1, position + 1)
        if char == "\\":
            at, char = at + 1, pattern[at + 1]
        return path[position] == char and rest(at + 1, position + 1)

    return rest(0, 0)


def reference_list(patterns: list[str], path: str) -> bool:
    """The last pattern that matches the path or any directory above it decides."""
    names = path.split("/")
    above = ["/".join(names[:count]) for count in range(1, len(names) + 1)]
    verdict = False
    for pattern in patterns:
        negated = pattern.startswith("!")
        if any(reference_match(pattern.removeprefix("!"), one) for one in above):
            verdict = not negated
    return verdict


NAMES = st.text(alphabet="ab.", min_size=1, max_size=4).filter(lambda name: name not in (".", ".."))
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)
PIECES = st.sampled_from(
    ["a", "b", ".", "ab", "*", "**", "?", "[ab]", "[^a]", "[a-b]", "\\.", "\\*", "/", "**/", "/**/", "/**", "/*"]
)


def _usable(pattern: str) -> bool:
    return pattern == clean(pattern) and pattern != "." and not pattern.startswith(("/", "!")) and ".." not in pattern


PATTERNS = st.lists(PIECES, min_size=1, max_size=6).map("".join).filter(_usable)


@examples(400)
@given(pattern=PATTERNS, path=PATHS)
def test_one_pattern_as_the_reference(pattern: str, path: str) -> None:
    assert PatternMatcher([pattern]).matches_exact(path) == reference_match(pattern, path)


@examples(300)
@given(
    patterns=st.lists(st.tuples(st.sampled_from(["", "!"]), PATTERNS).map("".join), max_size=5),
    path=PATHS,
)
def test_lists_as_the_reference(patterns: list[str], path: str) -> None:
    assert PatternMatcher(patterns).matches_or_parent_matches(path) == reference_list(patterns, path)


@examples(300)
@given(pattern=st.text(alphabet="ab*?[]^-\\/!.", max_size=8), name=st.text(alphabet="ab/-^]", max_size=8))
def test_any_text_is_a_pattern_or_a_pattern_error(pattern: str, name: str) -> None:
    with suppress(PatternError):  # nothing else may be raised
        PatternMatcher([pattern]).matches_or_parent_matches(name)
    with suppress(PatternError):
        match(pattern, name)


@examples(200)
@given(text=st.text(alphabet=string.printable, min_size=1, max_size=12).filter(lambda text: "/" not in text))
def test_an_escaped_name_matches_itself_alone(text: str) -> None:
    escaped = "".join(f"\\{char}" for char in text)
    assert match(escaped, text)
    assert not match(escaped, text + "x")


def test_has_wildcard() -> None:
    assert has_wildcard("a*")
    assert has_wildcard("\\**")
    assert not has_wildcard("a\\*")
    assert not has_wildcard("a]\\")


def test_glob(memory_tree) -> None:  # type: ignore[no-untyped-def]
    tree = memory_tree(
        {"src/a.py": b"", "src/b.py": b"", "src/sub/c.py": b"", "src/z.txt": b"", "link": "src", "other/d.py": b""}
    )
    assert glob(tree, "src/*.py") == ["src/a.py", "src/b.py"]
    assert glob(tree, "/s*/*.py") == ["src/a.py", "src/b.py"]
    assert glob(tree, "*/?.py") == ["other/d.py", "src/a.py", "src/b.py"]  # `link` is not followed behind a wildcard
    assert glob(tree, "link/*.py") == ["src/a.py", "src/b.py"]  # but before one
    assert glob(tree, "src/*") == ["src/a.py", "src/b.py", "src/sub", "src/z.txt"]
    assert glob(tree, "*.nothing") == []
    assert glob(tree, "missing/*") == []
    assert glob(tree, "src/a.py/*") == []
    assert glob(tree, "./src/../src/a.py") == ["src/a.py"]
    assert glob(tree, "../../src") == ["src"]
    assert glob(tree, "/") == [""]
    assert glob(tree, "src[^x][ab].py") == ["src/a.py", "src/b.py"]
    with pytest.raises(PatternError):
        glob(tree, "src/[")


def test_glob_reads_no_more_than_it_needs(memory_tree) -> None:  # type: ignore[no-untyped-def]
    tree = memory_tree({"a/x/deep/file": b"", "b/y": b""})
    seen: list[str] = []
    scandir = tree.scandir
    tree.scandir = lambda path: (seen.append(path), scandir(path))[1]
    assert glob(tree, "a/*") == ["a/x"]
    assert seen == ["a"]
