from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywerf.errors import ContextError, PatternError
from pywerf.source.dockerignore import IgnoreRules, find_ignore_file, load_rules, read_patterns
from support.examples import examples


def test_comments_blank_lines_and_cleaning() -> None:
    data = b"\xef\xbb\xbf# comment\n\n  a/  \r\n/b//c/../d\n #not a comment\n! /e/\n!\n/\n\xff\n"
    assert read_patterns(data) == [
        (3, "a"),
        (4, "b/d"),
        (5, "#not a comment"),
        (6, "!e"),
        (7, "!"),
        (8, "/"),
        (9, "\udcff"),
    ]


def test_precedence(tmp_path: Path) -> None:
    root = tmp_path / "context"
    root.mkdir()
    dockerfile = tmp_path / "build" / "app.Dockerfile"
    dockerfile.parent.mkdir()
    order = [
        root / ".dockerignore",
        root / ".containerignore",
        Path(f"{dockerfile}.dockerignore"),
        Path(f"{dockerfile}.containerignore"),
        tmp_path / "named",
    ]
    assert find_ignore_file(str(root), str(dockerfile)) is None
    for path in order[:-1]:
        path.write_text("x")
        assert find_ignore_file(str(root), str(dockerfile)) == str(path)
    with pytest.raises(ContextError, match="no such ignore file"):
        find_ignore_file(str(root), str(dockerfile), str(order[-1]))
    order[-1].write_text("x")
    assert find_ignore_file(str(root), str(dockerfile), str(order[-1])) == str(order[-1])
    assert find_ignore_file(str(root)) == str(root / ".containerignore")


def test_load_rules(tmp_path: Path) -> None:
    assert load_rules(str(tmp_path)) is None
    (tmp_path / ".dockerignore").write_text("# nothing\n")
    assert load_rules(str(tmp_path)) is None
    (tmp_path / ".dockerignore").write_text("a\n\n[x-]\n")
    with pytest.raises(PatternError, match=r"^\.dockerignore:3: invalid pattern"):
        load_rules(str(tmp_path))
    (tmp_path / ".dockerignore").write_text("a\n!a/b\n")
    rules = load_rules(str(tmp_path))
    assert rules is not None
    assert rules.ignored("a/c")
    assert not rules.ignored("a/b")
    assert not rules.ignored("")


@pytest.mark.parametrize(
    ("lines", "folder", "expected"),
    [
        ("a", "a", False),
        ("a\n!a/b", "a", True),
        ("a\n!ab", "a", False),
        ("a\n!b", "a", False),
        ("*\n!x/y/z", "x", True),
        ("*\n!x/y/z", "x/y", True),
        ("*\n!x/y/z", "x/q", False),
        ("*\n!x/y/z", "w", False),
        ("*\n!**/z", "w", False),
        ("*\n!x*/z", "w", False),
        ("*\n!x*/z", "xw", False),
        ("*\n!w/**", "w", True),
        ("*\n!we**", "w", False),
        ("!a/b\na", "a", False),  # what comes later wins: nothing in it can come back
        ("*\n!a\na/b", "a/b", False),
        ("*\n!a/?/c", "a", True),
        ("*\n!a/?/c", "a/b", False),  # the text of the pattern counts, not what it matches
        ("*\n!a/**/c", "a", True),
        ("*\n!a/**/c", "a/b", False),
    ],
)
def test_which_ignored_folders_are_looked_into(lines: str, folder: str, expected: bool) -> None:
    rules = IgnoreRules.parse(lines.encode())
    assert rules is not None
    state = rules.state_of(folder)
    assert rules.ignores(state)
    assert rules.enters(folder, state) is expected


NAMES = st.sampled_from(["a", "b", "ab", "a.b"])
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)
PARTS = st.sampled_from(["a", "b", "*", "**", "a*", "*.b", "?", "[^a]", "ab"])
LINES = st.tuples(st.sampled_from(["", "!"]), st.lists(PARTS, min_size=1, max_size=3).map("/".join)).map("".join)


@examples(500)
@given(lines=st.lists(LINES, min_size=1, max_size=5), path=PATHS)
def test_what_a_walk_asks_agrees_with_the_whole_path(lines: list[str], path: str) -> None:
    rules = IgnoreRules.parse("\n".join(lines).encode())
    assert rules is not None
    names = path.split("/")
    state = -1
    for count in range(1, len(names)):
        folder = "/".join(names[:count])
        state = rules.child_state(folder, state)
        assert state == rules.state_of(folder)
        if rules.ignores(state) and not rules.ignored(path):
            assert rules.enters(folder, state)
    stays = rules.files(len(names) - 1, state)
    assert (stays if isinstance(stays, bool) else stays(path)) is not rules.ignored(path)
