"""Foreign text, sizes and durations."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywerf.report.text import MAX_LINE, OutputLines, clean, human_size, seconds


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("plain", "plain"),
        ("größe\t日本", "größe\t日本"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07x", "x"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bPq...\x1b\\x", "x"),
        ("a\x1b[2J\x1b[Hb", "ab"),
        ("\x1b(Bx", "x"),
        ("a\x07\x08\x7fb", "ab"),
        ("\x9b31mx", "31mx"),
        ("10%\r20%\r100%", "100%"),
        ("line\r\nnext\r\n", "line\nnext\n"),
        ("end\x1b", "end"),
    ],
)
def test_clean(raw: str, text: str) -> None:
    assert clean(raw) == text


def test_clean_keeps_colors_when_wanted() -> None:
    assert clean("\x1b[1;31mred\x1b[0m\x1b[5A", color=True) == "\x1b[1;31mred\x1b[0m"


@given(st.text())
def test_clean_leaves_no_control(raw: str) -> None:
    text = clean(raw)
    assert not {character for character in text if ord(character) < 32 or 127 <= ord(character) < 160} - {"\t", "\n"}


@given(st.lists(st.binary(max_size=20)))
def test_pieces_make_the_same_lines_as_the_whole(pieces: list[bytes]) -> None:
    whole = OutputLines()
    expected = whole.feed(b"".join(pieces)) + whole.finish()
    parts = OutputLines()
    assert [line for piece in pieces for line in parts.feed(piece)] + parts.finish() == expected


def test_a_character_that_is_cut_in_two() -> None:
    lines = OutputLines()
    assert lines.feed("ä".encode()[:1]) == []
    assert lines.feed("ä".encode()[1:] + b"\n") == ["ä"]


def test_a_line_without_end_is_cut() -> None:
    lines = OutputLines(keep=3)
    assert lines.feed(b"x" * (MAX_LINE + 1)) == ["x" * (MAX_LINE + 1)]
    assert lines.partial == ""
    lines.feed(b"1\n2\n3\n4\nfive")
    assert list(lines.last) == ["2", "3", "4"]
    assert lines.partial == "five"


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (12_345, "12.35 kB"),
        (1_500_000, "1.5 MB"),
        (2 * 10**15, "2 PB"),
        (10**19, "1e+04 PB"),
    ],
)
def test_sizes(size: int, text: str) -> None:
    assert human_size(size) == text


@pytest.mark.parametrize(("duration", "text"), [(0.04, "0.0s"), (59.94, "59.9s"), (72, "1m12s"), (3725, "1h02m05s")])
def test_durations(duration: float, text: str) -> None:
    assert seconds(duration) == text
