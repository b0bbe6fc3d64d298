"""Changes of a copy come to the original, and nothing else does. Needs no privilege: all is the user's own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from pywerf.linux.copy_back import CopyBack
from pywerf.linux.copytree import copy_node
from support.examples import examples


class Pair:
    """An original and a copy of it."""

    def __init__(self, folder: Path) -> None:
        self.original, self.copy = folder / "original", folder / "copy"
        self.above = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        self.back: CopyBack | None = None

    def take(self) -> None:
        copy_node(str(self.original), "copy", self.above)
        self.back = CopyBack(str(self.original), self.above, "copy")

    def bring_back(self) -> None:
        assert self.back is not None
        self.back.run()


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    made = Pair(tmp_path)
    yield made
    os.close(made.above)


def listing(root: Path) -> dict[str, tuple[int, bytes | str]]:
    found: dict[str, tuple[int, bytes | str]] = {}
    for path in root.rglob("*"):
        status = path.lstat()
        content: bytes | str = ""
        if path.is_symlink():
            content = os.readlink(path)
        elif path.is_file():
            content = path.read_bytes()
        found[str(path.relative_to(root))] = (status.st_mode, content)
    return found


def test_a_file_keeps_its_inode(pair: Pair) -> None:
    pair.original.write_text("before, and longer")
    inode = pair.original.stat().st_ino
    pair.take()
    pair.copy.write_text("after")
    pair.copy.chmod(0o640)
    pair.bring_back()
    assert pair.original.read_text() == "after"
    assert (pair.original.stat().st_ino, pair.original.stat().st_mode & 0o777) == (inode, 0o640)


def test_a_file_that_was_not_changed_is_not_written(pair: Pair) -> None:
    pair.original.write_text("before")
    pair.take()
    pair.original.write_text("by another")
    pair.bring_back()
    assert pair.original.read_text() == "by another"


def test_two_copies_of_one_folder_leave_the_files_of_both(tmp_path: Path) -> None:
    original = tmp_path / "original"
    original.mkdir()
    (original / "old").write_text("old")
    pairs = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        made = Pair(tmp_path / name)
        made.original = original
        made.take()
        (made.copy / name).write_text(name)
        pairs.append(made)
    for made in pairs:
        made.bring_back()
        os.close(made.above)
    assert sorted(os.listdir(original)) == ["old", "one", "two"]


def test_a_copy_that_became_a_link_brings_nothing_back(pair: Pair, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    pair.original.mkdir()
    pair.take()
    pair.copy.rmdir()
    pair.copy.symlink_to(victim)
    (victim / "x").write_text("x")
    pair.bring_back()
    assert os.listdir(pair.original) == []


def test_links_in_the_original_are_not_followed(pair: Pair, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    pair.original.mkdir()
    (pair.original / "sub").symlink_to(victim)
    pair.take()
    (pair.copy / "sub").unlink()
    (pair.copy / "sub").mkdir()
    (pair.copy / "sub/x").write_text("x")
    pair.bring_back()
    assert os.listdir(victim) == []
    assert (pair.original / "sub/x").read_text() == "x"


NAMES = st.sampled_from("abc")
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
CHANGES = st.lists(st.tuples(st.sampled_from(["file", "folder", "link", "remove", "mode"]), PATHS), max_size=12)


def change(root: Path, changes: list[tuple[str, str]], number: int) -> None:
    for kind, path in changes:
        place = root / path
        if any(parent.is_symlink() or not parent.is_dir() for parent in place.parents if root in parent.parents):
            continue
        if kind == "mode":
            if place.exists() and not place.is_symlink():
                place.chmod(0o700 if place.is_dir() else 0o640)
            continue
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        elif place.is_symlink() or place.exists():
            place.unlink()
        if kind == "file":
            place.write_text(f"{number} {path}")
        elif kind == "folder":
            place.mkdir()
        elif kind == "link":
            place.symlink_to("/nowhere")


@examples(60, suppress=[HealthCheck.function_scoped_fixture])
@given(CHANGES, CHANGES)
def test_afterwards_the_original_is_as_the_copy(
    tmp_path: Path, before: list[tuple[str, str]], after: list[tuple[str, str]]
) -> None:
    folder = tmp_path / os.urandom(8).hex()
    folder.mkdir()
    made = Pair(folder)
    made.original.mkdir()
    change(made.original, before, 1)
    made.take()
    change(made.copy, after, 2)
    made.bring_back()
    os.close(made.above)
    assert listing(made.original) == listing(made.copy)
    shutil.rmtree(folder)
