"""What fuse-overlayfs leaves in an upper directory, and what becomes of it. Needs no privilege."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from pywerf.errors import SnapshotError
from pywerf.snapshot.fuse import FuseSnapshotter, settle

PREFIX = "user.overlay."


@pytest.fixture
def upper(tmp_path: Path) -> Path:
    folder = tmp_path / "upper"
    folder.mkdir()
    return folder


def is_whiteout(path: Path) -> bool:
    st = path.lstat()
    return stat.S_ISCHR(st.st_mode) and st.st_rdev == 0


def test_whiteouts_become_devices_and_folders_keep_their_times(upper: Path) -> None:
    (upper / "sub").mkdir()
    (upper / "sub/.wh.gone").touch()
    (upper / "sub/kept").write_text("kept")
    os.utime(upper / "sub", ns=(1, 2))
    settle(str(upper), PREFIX)
    assert is_whiteout(upper / "sub/gone")
    assert sorted(os.listdir(upper / "sub")) == ["gone", "kept"]
    assert (upper / "sub").stat().st_mtime_ns == 2


@pytest.mark.parametrize("form", ["file", "xattr", "both"])
def test_every_form_of_an_opaque_folder_becomes_the_kernels(upper: Path, form: str) -> None:
    folder = upper / "a/b"
    folder.mkdir(parents=True)
    if form != "xattr":
        (folder / ".wh..wh..opq").touch()
        os.mknod(folder / ".wh..opq", stat.S_IFCHR, 0)
    if form != "file":
        os.setxattr(folder, "user.fuseoverlayfs.opaque", b"y")
    settle(str(upper), PREFIX)
    assert os.listdir(folder) == []
    assert os.listxattr(folder) == [f"{PREFIX}opaque"]
    assert os.getxattr(folder, f"{PREFIX}opaque") == b"y"
    assert os.listxattr(upper / "a") == []


def test_the_programs_notes_go_and_other_xattrs_stay(upper: Path) -> None:
    (upper / "file").write_text("x")
    os.setxattr(upper / "file", "user.fuseoverlayfs.origin", b"file")
    os.setxattr(upper / "file", "user.note", b"mine")
    settle(str(upper), PREFIX)
    assert os.listxattr(upper / "file") == ["user.note"]


def test_it_can_be_done_again(upper: Path) -> None:
    (upper / ".wh.gone").touch()
    settle(str(upper), PREFIX)
    settle(str(upper), PREFIX)
    assert is_whiteout(upper / "gone")


def test_a_file_with_such_a_name_and_content_is_a_file(upper: Path) -> None:
    (upper / ".wh.real").write_text("content")
    settle(str(upper), PREFIX)
    assert os.listdir(upper) == [".wh.real"]


@pytest.mark.parametrize("name", ["a,b", "a:b", "a\\b"])
def test_what_the_programs_options_cannot_hold_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SnapshotError, match="comma or a colon"):
        FuseSnapshotter(str(tmp_path / name), "/usr/bin/fuse-overlayfs")
