"""Files that stand for devices where mknod(2) is refused: trees show them, and layers hold them, as devices."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from pathlib import Path

import pytest

from pywerf.layer.diff import diff_trees, write_overlay_diff, write_tree
from pywerf.layer.tar_write import TarWriter
from pywerf.linux.devices import MARK, device_of, make_device
from pywerf.linux.dirtree import DirectoryTree
from pywerf.snapshot.live import LiveTree
from pywerf.snapshot.merged import MergedTree

CONSOLE = b"c 5 1"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A directory with two devices, as a user namespace leaves them, and an empty file."""
    root = tmp_path / "tree"
    (root / "dev").mkdir(parents=True)
    for name, mark in (("console", CONSOLE), ("disk", b"b 8 0"), ("plain", b"")):
        file = root / "dev" / name
        file.write_bytes(b"")
        file.chmod(0o620)
        os.utime(file, (5, 5))
        if mark:
            os.setxattr(file, MARK, mark)
    return root


def entries(tar: bytes) -> dict[str, tuple[bytes, int, int, int, int]]:
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        return {one.name: (one.type, one.mode, one.devmajor, one.devminor, len(one.pax_headers)) for one in archive}


def write_upper(upper: Path, *lowers: Path) -> bytes:
    out = io.BytesIO()
    writer = TarWriter(out.write)
    write_overlay_diff(str(upper), [str(lower) for lower in lowers], writer)
    writer.close()
    return out.getvalue()


DEVICES = {
    "dev/console": (tarfile.CHRTYPE, 0o620, 5, 1, 0),
    "dev/disk": (tarfile.BLKTYPE, 0o620, 8, 0, 0),
    "dev/plain": (tarfile.REGTYPE, 0o620, 0, 0, 0),
}


def test_layers_have_the_device_and_not_the_mark(tree: Path) -> None:
    assert DEVICES.items() <= entries(write_upper(tree)).items()
    out = io.BytesIO()
    writer = TarWriter(out.write)
    write_tree(str(tree), writer)
    writer.close()
    assert DEVICES.items() <= entries(out.getvalue()).items()


def test_a_device_that_did_not_change_is_in_no_layer(tree: Path, tmp_path: Path) -> None:
    upper = tmp_path / "upper"
    (upper / "dev").mkdir(parents=True)
    for name, mark in (("console", CONSOLE), ("disk", b"b 8 1"), ("plain", b"c 1 3")):
        file = upper / "dev" / name
        file.write_bytes(b"")
        file.chmod(0o620)
        os.utime(file, (5, 5))
        os.setxattr(file, MARK, mark)
    found = entries(write_upper(upper, tree))
    assert "dev/console" not in found
    assert found["dev/disk"] == (tarfile.BLKTYPE, 0o620, 8, 1, 0)
    assert found["dev/plain"] == (tarfile.CHRTYPE, 0o620, 1, 3, 0)
    out = io.BytesIO()
    writer = TarWriter(out.write)
    diff_trees(str(upper), str(tree), writer)
    writer.close()
    assert set(entries(out.getvalue())) == {"dev", "dev/disk", "dev/plain"}


def test_trees_of_a_user_namespace_show_devices(tree: Path) -> None:
    trees = (
        DirectoryTree(str(tree), devices=True),
        MergedTree([str(tree)], "user.overlay."),
        LiveTree(str(tree), MergedTree([str(tree)], "user.overlay."), "user.overlay."),
    )
    for one in trees:
        listed = {node.name: (node.kind, node.rdev) for node in one.scandir("dev")}
        assert listed == {
            "console": ("char", os.makedev(5, 1)),
            "disk": ("block", os.makedev(8, 0)),
            "plain": ("file", 0),
        }
        for name, (kind, rdev) in listed.items():
            node = one.lstat(f"dev/{name}")
            assert node is not None
            assert (node.kind, node.rdev, node.mode, node.mtime_ns) == (kind, rdev, 0o620, 5_000_000_000)
        assert one.xattrs("dev/console") == {}


def test_trees_of_the_machine_show_files(tree: Path) -> None:
    for one in (DirectoryTree(str(tree)), MergedTree([str(tree)])):
        assert {node.kind for node in one.scandir("dev")} == {"file"}


@pytest.mark.parametrize("mark", [b"", b"c", b"c 1", b"c x 1", b"d 1 2", b"c 1 2 3", b"c -1 2", b"\xff 1 2"])
def test_other_marks_are_no_devices(tree: Path, mark: bytes) -> None:
    os.setxattr(tree / "dev/plain", MARK, mark)
    assert device_of(str(tree / "dev/plain")) is None


def test_an_existing_name_is_an_error(tree: Path) -> None:
    with pytest.raises(FileExistsError):
        make_device(str(tree / "dev/plain"), stat.S_IFCHR | 0o600, os.makedev(1, 3))
