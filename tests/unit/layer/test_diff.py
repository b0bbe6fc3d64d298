"""Diffs of trees and upper directories, as far as they need no privilege; the rest is in tests/integration/layer."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pywerf.errors import ArchiveError
from pywerf.layer.apply import apply_layer
from pywerf.layer.diff import DiffSummary, diff_trees, write_overlay_diff, write_tree
from pywerf.layer.tar_write import TarWriter
from pywerf.linux.removal import remove_tree
from support.trees import collect, tree

NS = 10**9


def layer(write: Callable[[TarWriter], DiffSummary], **options: int) -> bytes:
    chunks: list[bytes] = []
    writer = TarWriter(chunks.append, **options)  # type: ignore[arg-type]
    summary = write(writer)
    writer.close()
    data = b"".join(chunks)
    assert summary.entries == len(collect(data))
    return data


def names(data: bytes) -> list[str]:
    return list(collect(data))


@pytest.fixture
def old(tmp_path: Path) -> Path:
    root = tmp_path / "old"
    (root / "d/e").mkdir(parents=True)
    (root / "d/file").write_text("content")
    (root / "d/e/deep").write_text("deep")
    (root / "link").symlink_to("d/file")
    os.link(root / "d/file", root / "hard")
    for folder, directories, files in os.walk(root, topdown=False):
        for name in [*files, *directories, "."]:
            os.utime(os.path.join(folder, name), ns=(0, 5 * NS + 3), follow_symlinks=False)
    return root


@pytest.fixture
def new(old: Path, tmp_path: Path) -> Path:
    """A copy of `old`, its hard links too."""
    root = tmp_path / "new"
    shutil.copytree(old, root, symlinks=True)
    (root / "hard").unlink()
    os.link(root / "d/file", root / "hard")
    for name in ("hard", "link", "d/e", "d", "."):
        os.utime(root / name, ns=(0, 5 * NS + 3), follow_symlinks=False)
    return root


def diff(new: Path, old: Path, **options: object) -> bytes:
    return layer(lambda writer: diff_trees(str(new), str(old), writer, **options))  # type: ignore[arg-type]


def test_equal_trees_make_no_layer(new: Path, old: Path) -> None:
    assert names(diff(new, old)) == []
    assert diff_trees(str(new), str(old), TarWriter(lambda chunk: None)).empty


def test_since_spares_reading_but_sees_moved_folders(new: Path, old: Path, tmp_path: Path) -> None:
    for root in (new, old):
        (root / "other").mkdir()
        (root / "other/deep").write_text("DEEP")
        os.utime(root / "other/deep", ns=(0, 5 * NS + 3))
    marker = tmp_path / "marker"
    marker.touch()
    while marker.stat().st_ctime_ns <= (new / "other").stat().st_ctime_ns:
        marker.touch()
    (new / "d/e").rename(new / "x")
    (new / "other").rename(new / "d/e")
    (new / "x").rename(new / "other")
    for name in ("d/e", "other", "d"):
        os.utime(new / name, ns=(0, (old / name).stat().st_mtime_ns))
    data = diff(new, old, since_ns=marker.stat().st_ctime_ns)
    assert names(data) == ["d", "d/e", "d/e/deep", "other", "other/deep"]
    assert data == diff(new, old)


def test_hard_link_to_an_unchanged_file_brings_the_file(new: Path, old: Path) -> None:
    os.link(new / "hard", new / "zlink")
    entries = collect(diff(new, old))
    assert [(name, info.linkname) for name, info in entries.items()] == [
        ("d", ""),
        ("d/file", ""),
        ("hard", "d/file"),
        ("zlink", "d/file"),
    ]


def test_removed_hard_link_brings_nothing(new: Path, old: Path) -> None:
    (new / "hard").unlink()
    assert names(diff(new, old)) == [".wh.hard"]


@pytest.fixture
def deep_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder for trees that pytest's own cleaning is not made for."""
    yield tmp_path
    remove_tree(str(tmp_path))
    tmp_path.mkdir()


def test_tree_deeper_than_the_stack(deep_folder: Path) -> None:
    root = str(deep_folder / "deep")
    path = root + "/d" * 1200
    for depth in range(1201):
        os.mkdir(root + "/d" * depth)
    Path(path, "leaf").write_text("x")
    data = layer(lambda writer: write_tree(root, writer))
    assert len(names(data)) == 1201
    target = deep_folder / "target"
    target.mkdir()
    apply_layer([data], str(target), form="plain", owner_map=lambda uid, gid: None)
    assert os.path.exists(f"{target}{'/d' * 1200}/leaf")
    assert layer(lambda writer: write_tree(str(target), writer)) == data


def test_what_cannot_be_read_is_named(new: Path, old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (new / "d/file").unlink()
    (new / "d/file").symlink_to("x")
    with pytest.raises(ArchiveError, match="nowhere"):
        layer(lambda writer: write_tree(str(new / "nowhere"), writer))


def test_errors_of_the_sink_pass_through(new: Path) -> None:
    def full(chunk: bytes) -> None:
        raise OSError(28, "No space left on device", "/blobs/tmp")

    (new / "large").write_bytes(bytes(3 << 20))
    with pytest.raises(OSError, match="No space left"):
        write_tree(str(new), TarWriter(full))


# An upper directory with overlay's xattr marks, which need no privilege.


@pytest.fixture
def upper(tmp_path: Path) -> Path:
    root = tmp_path / "upper"
    (root / "d").mkdir(parents=True)
    return root


def overlay(upper: Path, *lowers: Path, **options: object) -> bytes:
    return layer(lambda writer: write_overlay_diff(str(upper), [str(path) for path in lowers], writer, **options))  # type: ignore[arg-type]


def mark(path: Path, name: str, value: bytes = b"y") -> None:
    os.setxattr(path, f"user.overlay.{name}", value)


def test_xattr_whiteouts(upper: Path, old: Path) -> None:
    mark(upper / "d", "opaque", b"x")
    for name in ("file", "never"):
        (upper / "d" / name).touch()
        mark(upper / "d" / name, "whiteout")
    assert names(overlay(upper, old)) == ["d", "d/.wh.file"]


def test_xattr_whiteouts_in_new_folders_and_below(upper: Path, old: Path, tmp_path: Path) -> None:
    (upper / "fresh").mkdir()
    (upper / "fresh/x").touch()
    mark(upper / "fresh/x", "whiteout")
    near = tmp_path / "near"
    (near / "d").mkdir(parents=True)
    (near / "d/file").touch()
    mark(near / "d/file", "whiteout")
    (upper / "d/file").write_text("new")
    (upper / "d/e").touch()
    mark(upper / "d/e", "whiteout")
    assert names(overlay(upper, near, old)) == ["d", "d/.wh.e", "d/file", "fresh"]
    (upper / "d/file").unlink()
    (upper / "d/file").touch()
    mark(upper / "d/file", "whiteout")
    assert names(overlay(upper, near, old)) == ["d", "d/.wh.e", "fresh"]


def test_opaque_folder_is_written_as_whiteouts(upper: Path, old: Path) -> None:
    mark(upper / "d", "opaque")
    (upper / "d/new").touch()
    data = overlay(upper, old)
    assert names(data) == ["d", "d/.wh.e", "d/.wh.file", "d/new"]
    assert not any("overlay" in key for info in collect(data).values() for key in info.pax_headers)


def test_many_names_in_a_merged_folder(upper: Path, old: Path) -> None:
    for number in range(40):
        (upper / f"d/f{number:02}").write_text("new" if number > 2 else "")
        if number % 2:
            (old / f"d/f{number:02}").touch()
    mark(upper / "d", "opaque", b"x")
    for number in (1, 2):
        mark(upper / f"d/f{number:02}", "whiteout")
    found = names(overlay(upper, old))
    assert found == ["d", "d/.wh.f01", "d/f00", *[f"d/f{number:02}" for number in range(3, 40)]]


def test_whiteout_files_of_fuse_overlayfs(upper: Path, old: Path, tmp_path: Path) -> None:
    (upper / "d/.wh.file").touch()
    (upper / "d/.wh.never").touch()
    (upper / "o").mkdir()
    (upper / "o/.wh..wh..opq").touch()
    os.mkfifo(upper / "o/.wh..opq")  # stands for the device that needs privilege
    (old / "o").mkdir()
    (old / "o/.opq").touch()
    (upper / "o/new").touch()
    (old / "o/hidden").touch()
    (upper / "fresh").mkdir()
    (upper / "fresh/.wh..wh..opq").touch()
    data = overlay(upper, old, whiteout_files=True)
    assert names(data) == ["d", "d/.wh.file", "fresh", "o", "o/.wh..opq", "o/.wh.hidden", "o/new"]
    above = tmp_path / "above"
    (above / "o").mkdir(parents=True)
    (above / "o/.wh.new").touch()
    (above / "o/.wh.hidden").touch()
    (above / "d").mkdir()
    (above / "d/.wh.file").touch()
    (above / "d/.wh.e").touch()
    assert names(overlay(above, upper, old, whiteout_files=True)) == ["d", "d/.wh.e", "o", "o/.wh.new"]
    with pytest.raises(ArchiveError, match=r"d/\.wh\."):
        overlay(upper, old)


def test_time_only_of_a_folder_is_a_change(new: Path, old: Path) -> None:
    os.utime(new / "d/e", ns=(0, 6 * NS))
    assert names(diff(new, old)) == ["d", "d/e"]


def test_subsecond_times_and_clamp(new: Path, old: Path) -> None:
    (new / "added").write_text("x")
    os.utime(new / "added", ns=(0, 7 * NS + 500_000_000))
    data = layer(lambda writer: diff_trees(str(new), str(old), writer), subsecond=1)
    assert collect(data)["added"].mtime == 7.5
    data = layer(lambda writer: diff_trees(str(new), str(old), writer), clamp=6)
    assert collect(data)["added"].mtime == 6


def test_order_is_by_the_bytes_of_names(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "a").mkdir(parents=True)
    for name in ("a/z", "a!", "a.b", "Z", "é", "\udcff", "\U0001f600", "\ufb00"):
        (root / name).touch()
    data = layer(lambda writer: write_tree(str(root), writer))
    assert names(data) == ["Z", "a", "a/z", "a!", "a.b", "é", "\ufb00", "\U0001f600", "\udcff"]
    assert set(tree(root)) == set(names(data))
