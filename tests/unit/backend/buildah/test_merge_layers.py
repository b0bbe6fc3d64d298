"""Layers laid over each other, without privilege: removals are judged by what overlay's rules say they hide."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pywerf.backend.buildah.merge_layers import merge_layer
from support.builds import write
from support.trees import tree

OPAQUE = "user.overlay.opaque"


def merge(target: Path, *layers: Path) -> None:
    target.mkdir(exist_ok=True)
    for layer in layers:
        merge_layer(str(layer), str(target), "user")


def test_files_are_linked_and_directories_made(tmp_path: Path) -> None:
    layer = write(tmp_path / "layer", {"d/f": "1", "d/deep/g": "2", "link": "-> d/f", "empty/": ""})
    (layer / "d").chmod(0o2750)
    os.setxattr(layer / "d", "user.mark", b"x")
    for name in ("d/deep", "d", "empty"):
        os.utime(layer / name, ns=(10**18, 10**18))
    merge(tmp_path / "target", layer)
    assert tree(tmp_path / "target") == tree(layer)
    assert (tmp_path / "target/d/f").stat().st_ino == (layer / "d/f").stat().st_ino
    assert (tmp_path / "target/d").stat().st_ino != (layer / "d").stat().st_ino


def test_upper_layers_win(tmp_path: Path) -> None:
    below = write(tmp_path / "below", {"f": "old", "d/kept": "k", "d/f": "old", "dir/x": "x", "file": "f"})
    above = write(tmp_path / "above", {"f": "new", "d/f": "new", "dir": "now a file", "file/now": "a directory"})
    (above / "d").chmod(0o700)
    merge(tmp_path / "target", below, above)
    target = tmp_path / "target"
    assert set(tree(target)) == {"f", "d", "d/kept", "d/f", "dir", "file", "file/now"}
    assert (target / "f").read_text() == (target / "d/f").read_text() == "new"
    assert (target / "d").stat().st_mode & 0o777 == 0o700
    assert (below / "f").read_text() == "old", "the layers themselves are not touched"
    assert os.getxattr(target / "file", OPAQUE) == b"y", "what a file hid stays hidden below the directory"
    assert OPAQUE not in os.listxattr(target / "d")


def test_opaque_directories_empty_what_is_there(tmp_path: Path) -> None:
    below = write(tmp_path / "below", {"d/old": "x", "d/sub/old": "x", "other": "x"})
    above = write(tmp_path / "above", {"d/new": "y", "fresh/f": "z"})
    for name in ("d", "fresh"):
        os.setxattr(above / name, OPAQUE, b"y")
    merge(tmp_path / "target", below, above)
    assert set(tree(tmp_path / "target")) == {"d", "d/new", "other", "fresh", "fresh/f"}
    for name in ("d", "fresh"):
        assert os.getxattr(tmp_path / "target" / name, OPAQUE) == b"y"


def test_xattrs_of_a_directory_are_those_of_its_last_layer(tmp_path: Path) -> None:
    below, above = write(tmp_path / "below", {"d/": ""}), write(tmp_path / "above", {"d/": ""})
    os.setxattr(below / "d", "user.old", b"1")
    os.setxattr(above / "d", "user.new", b"2")
    merge(tmp_path / "target", below, above)
    assert os.listxattr(tmp_path / "target/d") == ["user.new"]


def test_hard_links_stay_hard_links(tmp_path: Path) -> None:
    layer = write(tmp_path / "layer", {"a": "x"})
    os.link(layer / "a", layer / "b")
    merge(tmp_path / "target", layer)
    assert (tmp_path / "target/a").stat().st_ino == (tmp_path / "target/b").stat().st_ino


def test_symlinks_are_not_followed(tmp_path: Path) -> None:
    outside = write(tmp_path / "outside", {"f": "untouched"})
    below = write(tmp_path / "below", {"d": f"-> {outside}"})
    above = write(tmp_path / "above", {"d/f": "new"})
    merge(tmp_path / "target", below, above)
    assert (outside / "f").read_text() == "untouched"
    assert (tmp_path / "target/d/f").read_text() == "new"


@pytest.mark.parametrize("depth", [300])
def test_deep_trees(tmp_path: Path, depth: int) -> None:
    layer = tmp_path / "layer"
    folder = layer
    for _ in range(depth):
        folder = folder / "d"
    folder.mkdir(parents=True)
    (folder / "f").touch()
    merge(tmp_path / "target", layer)
    assert len(tree(tmp_path / "target")) == depth + 1
