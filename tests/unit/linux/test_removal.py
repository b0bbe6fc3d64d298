"""Removing trees that somebody hostile has made."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pywerf.linux.removal import remove_tree


def test_what_is_not_there_is_no_error(tmp_path: Path) -> None:
    remove_tree(str(tmp_path / "no"))


def test_a_file_goes(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    remove_tree(str(tmp_path / "file"))
    assert not (tmp_path / "file").exists()


def test_symlinks_are_removed_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/kept").write_text("x")
    (tmp_path / "tree/sub").mkdir(parents=True)
    (tmp_path / "tree/sub/link").symlink_to(tmp_path / "outside")
    (tmp_path / "link").symlink_to(tmp_path / "outside")
    remove_tree(str(tmp_path / "tree"))
    remove_tree(str(tmp_path / "link"))
    assert sorted(os.listdir(tmp_path)) == ["outside"]
    assert (tmp_path / "outside/kept").exists()


def test_directories_without_permissions_go(tmp_path: Path) -> None:
    (tmp_path / "tree/closed/deeper").mkdir(parents=True)
    (tmp_path / "tree/closed/file").write_text("x")
    (tmp_path / "tree/closed").chmod(0)
    remove_tree(str(tmp_path / "tree"))
    assert not (tmp_path / "tree").exists()


def test_a_tree_deeper_than_the_stack_and_the_descriptors_allow(tmp_path: Path) -> None:
    top = tmp_path / "tree"
    top.mkdir()
    (top / ".deep-1").mkdir()  # names that the moving uses may be taken
    (top / ".deep-1/file").write_text("x")
    (top / ".deep-2").write_text("x")
    fd = os.open(top, os.O_RDONLY)
    for _ in range(2500):
        os.mkdir("d", dir_fd=fd)
        below = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)
    remove_tree(str(top))
    assert not top.exists()


def test_relative_to_a_directory(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        remove_tree("a", dir_fd=fd)
    finally:
        os.close(fd)
    assert os.listdir(tmp_path) == []


def test_the_error_of_the_system_comes_through(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(NotADirectoryError):
        remove_tree(str(tmp_path / "file" / "below"))
