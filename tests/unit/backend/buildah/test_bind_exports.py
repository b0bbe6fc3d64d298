"""Parts of a context that several steps read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pywerf.backend.buildah.bind_exports import BindExports
from pywerf.store.store import Store
from support.memory_tree import MemoryTree


@pytest.fixture
def exports(tmp_path: Path) -> Iterator[BindExports]:
    with Store.open(str(tmp_path / "store")) as store:
        yield BindExports(store, (os.getuid(), os.getgid()))


def test_what_is_read_by_two_steps_is_written_once(exports: BindExports) -> None:
    tree = MemoryTree({"dir/a": "1", "b": "2"}, owner=(7, 8))
    folder = exports.path(tree, "")
    assert exports.path(tree, "") == folder
    assert tree.opened == ["b", "dir/a"]
    assert Path(folder, "dir/a").read_text() == "1"


def test_parts_and_files(exports: BindExports) -> None:
    tree = MemoryTree({"dir/a": "1", "b": "2"})
    assert os.listdir(exports.path(tree, "dir")) == ["a"]
    assert Path(exports.path(tree, "b")).read_text() == "2"
    assert exports.path(MemoryTree({"b": "3"}), "b") != exports.path(tree, "b")
