"""Whole copies: what they keep, and that they share nothing with the original."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from pywerf.linux.copytree import copy_tree
from pywerf.linux.dirtree import DirectoryTree
from pywerf.util.filetree import join


def _listing(root: Path) -> dict[str, tuple[object, ...]]:
    tree = DirectoryTree(str(root))
    out: dict[str, tuple[object, ...]] = {}
    todo = [""]
    while todo:
        path = todo.pop()
        for node in tree.scandir(path):
            full = join(path, node.name)
            extra: object = None
            if node.kind == "dir":
                todo.append(full)
            elif node.kind == "symlink":
                extra = tree.readlink(full)
            elif node.kind == "file":
                extra = (root / full).read_bytes()
            size = 0 if node.kind == "dir" else node.size
            out[full] = (
                node.kind,
                node.mode,
                node.uid,
                node.gid,
                size,
                node.mtime_ns,
                node.nlink,
                extra,
                tree.xattrs(full),
            )
    return out


def test_everything_is_kept(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "sub/deeper").mkdir(parents=True)
    (source / "sub/file").write_bytes(os.urandom(300_000))
    (source / "sub/empty").touch()
    (source / "sub/file").chmod(0o4755)
    (source / "link").symlink_to("sub/file")
    (source / "dangling").symlink_to("/no/where")
    os.link(source / "sub/file", source / "sub/deeper/same")
    os.mkfifo(source / "fifo")
    os.setxattr(source / "sub/file", "user.note", b"\0\xff")
    os.setxattr(source / "sub", "user.folder", b"1")
    (source / "sub").chmod(0o1700)
    for path in ("sub/file", "link", "sub", "."):
        os.utime(source / path, ns=(0, 1_234_567_890_123_456_789), follow_symlinks=False)
    target = tmp_path / "target"
    target.mkdir()
    copy_tree(str(source), str(target))
    assert _listing(target) == _listing(source)
    assert target.stat().st_mtime_ns == source.stat().st_mtime_ns
    assert (target / "sub/file").stat().st_ino == (target / "sub/deeper/same").stat().st_ino
    assert (target / "sub/file").stat().st_ino != (source / "sub/file").stat().st_ino


def test_a_copy_can_be_written_without_changing_the_original(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "target").mkdir()
    (tmp_path / "source/file").write_text("original")
    copy_tree(str(tmp_path / "source"), str(tmp_path / "target"))
    with open(tmp_path / "target/file", "r+") as file:
        file.write("CHANGED!")
    assert (tmp_path / "source/file").read_text() == "original"


def test_holes_stay_holes(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "target").mkdir()
    with open(tmp_path / "source/sparse", "wb") as file:
        file.write(b"begin")
        file.seek(64 << 20)
        file.write(b"middle")
        file.truncate(128 << 20)
    copy_tree(str(tmp_path / "source"), str(tmp_path / "target"))
    st = (tmp_path / "target/sparse").stat()
    assert st.st_size == 128 << 20
    assert st.st_blocks <= (tmp_path / "source/sparse").stat().st_blocks + 16
    with open(tmp_path / "target/sparse", "rb") as file:
        assert file.read(8) == b"begin\0\0\0"
        file.seek(64 << 20)
        assert file.read(8) == b"middle\0\0"


def test_sockets_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "target").mkdir()
    here = os.getcwd()
    os.chdir(tmp_path / "source")  # the path of a socket is short
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("socket")
    finally:
        os.chdir(here)
    copy_tree(str(tmp_path / "source"), str(tmp_path / "target"))
    assert os.listdir(tmp_path / "target") == []


def test_symlinks_to_directories_are_copied_as_symlinks(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/file").write_text("x")
    (tmp_path / "source").mkdir()
    (tmp_path / "source/link").symlink_to(tmp_path / "outside")
    (tmp_path / "target").mkdir()
    copy_tree(str(tmp_path / "source"), str(tmp_path / "target"))
    assert (tmp_path / "target/link").is_symlink()
