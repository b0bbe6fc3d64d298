"""The merged view of overlay layers, made by hand in the form of a user namespace: no privilege needed."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from pywerf.snapshot.live import LiveTree
from pywerf.snapshot.merged import MergedTree, TopNames
from pywerf.util.filetree import FileTree

PREFIX = "user.overlay."


def _whiteout(path: Path) -> None:
    os.mknod(path, stat.S_IFCHR, 0)


@pytest.fixture
def layers(tmp_path: Path) -> list[str]:
    """Three layers, the nearest first."""
    out = []
    for name in ("top", "middle", "bottom"):
        (tmp_path / name).mkdir()
        out.append(str(tmp_path / name))
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_text("secret")
    return out


@pytest.fixture(params=["merged", "live"])
def make(request: pytest.FixtureRequest, layers: list[str]) -> type:
    class Make:
        def __new__(cls) -> FileTree:  # type: ignore[misc]
            if request.param == "merged":
                return MergedTree(layers, PREFIX)
            return LiveTree(layers[0], MergedTree(layers[1:], PREFIX), PREFIX)

    return Make


def _names(tree: FileTree, path: str = "") -> list[str]:
    return [node.name for node in tree.scandir(path)]


def test_the_nearest_layer_wins_and_directories_merge(make: type, layers: list[str]) -> None:
    for layer in layers:
        Path(layer, "dir").mkdir()
        Path(layer, "dir/same").write_text(layer)
        Path(layer, "dir", Path(layer).name).write_text("x")
    tree = make()
    assert _names(tree, "dir") == ["bottom", "middle", "same", "top"]
    fd = tree.open("dir/same")
    assert os.read(fd, 1000).decode() == layers[0]
    os.close(fd)


def test_a_whiteout_hides_what_is_below(make: type, layers: list[str]) -> None:
    Path(layers[2], "dir").mkdir()
    Path(layers[2], "dir/file").write_text("x")
    Path(layers[2], "file").write_text("x")
    _whiteout(Path(layers[1], "dir"))
    _whiteout(Path(layers[0], "file"))
    tree = make()
    assert _names(tree) == []
    assert tree.lstat("dir/file") is None
    assert tree.lstat("file") is None
    for call in (tree.scandir, tree.open, tree.readlink, tree.xattrs):
        with pytest.raises(FileNotFoundError):
            call("dir")


def test_a_directory_over_a_whiteout_is_new(make: type, layers: list[str]) -> None:
    Path(layers[2], "dir").mkdir()
    Path(layers[2], "dir/old").write_text("x")
    _whiteout(Path(layers[1], "dir"))
    Path(layers[0], "dir").mkdir()
    tree = make()
    assert _names(tree, "dir") == []
    assert tree.lstat("dir/old") is None


def test_an_opaque_directory_hides_what_is_below(make: type, layers: list[str]) -> None:
    for layer in layers:
        Path(layer, "dir/sub").mkdir(parents=True)
        Path(layer, "dir/sub", Path(layer).name).write_text("x")
    os.setxattr(Path(layers[1], "dir"), PREFIX + "opaque", b"y")
    tree = make()
    assert _names(tree, "dir/sub") == ["middle", "top"]
    assert tree.lstat("dir/sub/bottom") is None


def test_a_file_in_between_ends_the_merging(make: type, layers: list[str]) -> None:
    Path(layers[0], "x").mkdir()
    Path(layers[1], "x").write_text("file")
    Path(layers[2], "x").mkdir()
    Path(layers[2], "x/old").write_text("x")
    tree = make()
    assert _names(tree, "x") == []
    assert tree.lstat("x/old") is None


def test_whiteouts_in_the_form_of_xattrs(make: type, layers: list[str]) -> None:
    Path(layers[2], "dir").mkdir()
    Path(layers[2], "dir/gone").write_text("x")
    Path(layers[2], "dir/kept").write_text("x")
    Path(layers[0], "dir").mkdir()
    os.setxattr(Path(layers[0], "dir"), PREFIX + "opaque", b"x")
    for name in ("gone", "empty"):
        Path(layers[0], "dir", name).touch()
    os.setxattr(Path(layers[0], "dir/gone"), PREFIX + "whiteout", b"")
    tree = make()
    assert _names(tree, "dir") == ["empty", "kept"]
    assert tree.lstat("dir/gone") is None


def test_symlinks_lead_nowhere(make: type, layers: list[str], tmp_path: Path) -> None:
    Path(layers[0], "link").symlink_to(tmp_path / "outside")
    Path(layers[2], "link").mkdir()
    Path(layers[2], "link/inside").write_text("x")
    tree = make()
    assert tree.readlink("link") == str(tmp_path / "outside")
    assert tree.lstat("link/secret") is None
    assert tree.lstat("link/inside") is None
    assert tree.lstat("../outside/secret") is None
    with pytest.raises(NotADirectoryError):
        tree.scandir("link")
    for path in ("link/secret", "../outside/secret", "link"):
        with pytest.raises(OSError):  # noqa: PT011 - ENOENT, ENOTDIR or ELOOP, as it comes
            tree.open(path)


def test_overlays_own_xattrs_are_hidden(make: type, layers: list[str]) -> None:
    Path(layers[0], "dir").mkdir()
    os.setxattr(Path(layers[0], "dir"), PREFIX + "opaque", b"y")
    os.setxattr(Path(layers[0], "dir"), "user.mine", b"1")
    assert make().xattrs("dir") == {"user.mine": b"1"}


def test_attributes_come_from_the_nearest_directory(make: type, layers: list[str]) -> None:
    for layer, mode in zip(layers, (0o700, 0o750, 0o755), strict=True):
        Path(layer, "dir").mkdir()
        Path(layer, "dir").chmod(mode)
    node = make().lstat("dir")
    assert node is not None
    assert node.mode == 0o700


def test_a_live_tree_sees_changes_of_its_top(layers: list[str]) -> None:
    Path(layers[1], "dir").mkdir()
    Path(layers[1], "dir/old").write_text("x")
    tree = LiveTree(layers[0], MergedTree(layers[1:], PREFIX), PREFIX)
    assert _names(tree, "dir") == ["old"]
    Path(layers[0], "dir").mkdir()
    Path(layers[0], "dir/new").write_text("x")
    _whiteout(Path(layers[0], "dir/old"))
    assert _names(tree, "dir") == ["new"]
    os.unlink(Path(layers[0], "dir/old"))
    assert _names(tree, "dir") == ["new", "old"]


def test_many_layers_do_not_keep_many_files_open(tmp_path: Path) -> None:
    stack = []
    for number in range(200):
        layer = tmp_path / str(number)
        (layer / "a/b").mkdir(parents=True)
        (layer / f"a/b/f{number:03}").touch()
        stack.append(str(layer))
    before = len(os.listdir("/proc/self/fd"))
    tree = MergedTree(stack, PREFIX)
    assert len(_names(tree, "a/b")) == 200
    assert tree.lstat("a/b/f199") is not None
    assert len(os.listdir("/proc/self/fd")) <= before + 140


def test_deep_stacks_are_looked_through_as_shallow_ones(tmp_path: Path) -> None:
    layers = [tmp_path / f"{number:02d}" for number in range(20)]
    for number, layer in enumerate(layers):
        (layer / f"own{number}").mkdir(parents=True)
    (layers[19] / "etc").mkdir()
    (layers[19] / "etc/passwd").write_text("bottom")
    (layers[12] / "etc").mkdir()
    (layers[12] / "etc/group").write_text("middle")
    (layers[19] / "many").mkdir()
    for number in range(300):
        (layers[18] / f"file{number}").touch()
    (layers[18] / "many").mkdir()
    names = TopNames()
    tree = MergedTree([str(layer) for layer in layers], PREFIX, names)
    assert _names(tree, "etc") == ["group", "passwd"]
    assert tree.lstat("file299") is not None
    assert tree.lstat("many") is not None
    assert tree.lstat("absent") is None
    assert tree.lstat("own7/absent") is None


def test_a_tree_reads_only_the_layers_that_the_one_before_it_had_not(tmp_path: Path) -> None:
    layers = []
    for number in range(12):
        (tmp_path / f"{number}" / f"file{number}").mkdir(parents=True)
        layers.append(str(tmp_path / f"{number}"))
    names = TopNames()
    assert MergedTree(layers[1:], PREFIX, names).lstat("absent") is None
    for layer in layers[1:]:
        os.rename(layer, f"{layer}.moved")  # to open it again would be an error
    assert MergedTree(layers, PREFIX, names).lstat("absent") is None
    assert MergedTree(layers, PREFIX, names).lstat("file0") is not None


def test_whiteouts_at_the_top_of_deep_stacks(tmp_path: Path) -> None:
    layers = [str(tmp_path / f"{number:02d}") for number in range(10)]
    for layer in layers:
        os.mkdir(layer)
    Path(layers[9], "gone").mkdir()
    _whiteout(Path(layers[4], "gone"))
    assert MergedTree(layers, PREFIX).lstat("gone") is None
    assert MergedTree(layers[5:] + layers[:4], PREFIX).lstat("gone") is not None
