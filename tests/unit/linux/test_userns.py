"""Subordinate ids and id maps."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywerf.linux.userns import IdRange, Subids, find_tool, id_map, parse_subids, read_subids

SUBUID = """\
# not a user
alice:100000:65536
bob:165536:65536
1002:231072:65536
alice:400000:1000
bob:x:65536
bob:1:
bob:500000:0
bob:1:2:3
:1:2
"""


@pytest.mark.parametrize(
    ("user", "uid", "ranges"),
    [
        ("alice", 1000, ((100000, 65536), (400000, 1000))),
        ("bob", 1001, ((165536, 65536),)),
        ("carol", 1002, ((231072, 65536),)),
        ("dave", 1003, ()),
        ("", 1003, ()),
    ],
)
def test_ranges_are_found_by_name_and_by_number(user: str, uid: int, ranges: tuple[tuple[int, int], ...]) -> None:
    assert parse_subids(SUBUID, user, uid) == ranges


def test_the_user_is_root_and_the_ranges_follow() -> None:
    assert id_map(1000, ((100000, 65536), (400000, 1000))) == (
        IdRange(0, 1000, 1),
        IdRange(1, 100000, 65536),
        IdRange(65537, 400000, 1000),
    )
    assert id_map(1000, ()) == (IdRange(0, 1000, 1),)


@given(st.lists(st.tuples(st.integers(1, 2**31), st.integers(1, 70000)), max_size=6))
def test_a_map_has_every_id_once_and_no_hole_inside(ranges: list[tuple[int, int]]) -> None:
    ids = id_map(7, ranges)
    at = 0
    for one in ids:
        assert one.inside == at
        at += one.count
    assert at == 1 + sum(count for _, count in ranges)


@given(st.text(max_size=200))
def test_any_file_can_be_parsed(text: str) -> None:
    for first, count in parse_subids(text, "alice", 1000):
        assert first >= 0
        assert count > 0


@pytest.mark.parametrize(
    ("uids", "gids", "usable"), [(((1, 2),), ((1, 2),), True), (((1, 2),), (), False), ((), ((1, 2),), False)]
)
def test_ranges_of_both_kinds_are_needed(
    uids: tuple[tuple[int, int], ...], gids: tuple[tuple[int, int], ...], usable: bool
) -> None:
    assert Subids("u", 1, 1, uids, gids).usable is usable


def test_the_ranges_of_this_process_are_those_of_its_user() -> None:
    found = read_subids()
    assert (found.uid, found.gid) == (os.getuid(), os.getgid())
    assert found.user


def test_tools_are_executable_files_of_absolute_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool, folder, text = tmp_path / "pywerf-tool", tmp_path / "pywerf-folder", tmp_path / "pywerf-text"
    tool.write_text("")
    tool.chmod(0o755)
    folder.mkdir()
    text.write_text("")
    text.chmod(0o644)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f".::{tmp_path}")
    assert find_tool("pywerf-tool") == str(tool)
    assert find_tool("pywerf-folder") is None
    assert find_tool("pywerf-text") is None
    monkeypatch.setenv("PATH", ".")
    assert find_tool("pywerf-tool") is None
