"""A plain directory as a tree: what it says, and that nothing leads out of it."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from pywerf.linux.dirtree import DirectoryHandles, DirectoryTree
from pywerf.linux.removal import remove_tree


@pytest.fixture
def root(tmp_path: Path) -> Path:
    inside = tmp_path / "root"
    (inside / "sub" / "deep").mkdir(parents=True)
    (inside / "sub" / "file").write_text("content")
    (inside / "out").symlink_to(tmp_path / "outside")
    (inside / "up").symlink_to("..")
    os.mkfifo(inside / "fifo")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("secret")
    return inside


@pytest.fixture(params=[False, True], ids=["remembering", "live"])
def tree(request: pytest.FixtureRequest, root: Path) -> DirectoryTree:
    return DirectoryTree(str(root), live=request.param)


def test_lstat_says_what_the_system_says(tree: DirectoryTree, root: Path) -> None:
    node = tree.lstat("sub/file")
    st = (root / "sub/file").lstat()
    assert node is not None
    assert (node.name, node.kind, node.mode, node.size) == ("file", "file", st.st_mode & 0o7777, 7)
    assert (node.mtime_ns, node.ctime_ns, node.ino, node.dev, node.nlink) == (
        st.st_mtime_ns,
        st.st_ctime_ns,
        st.st_ino,
        st.st_dev,
        1,
    )


def test_the_root_is_a_directory_without_a_name(tree: DirectoryTree) -> None:
    node = tree.lstat("")
    assert node is not None
    assert (node.name, node.kind) == ("", "dir")


@pytest.mark.parametrize(
    "path", ["no", "no/no", "sub/file/x", "out/secret", "up/outside", "..", "sub/..", ".", "sub//file"]
)
def test_what_is_not_there_or_behind_a_symlink_is_none(tree: DirectoryTree, path: str) -> None:
    assert tree.lstat(path) is None


@pytest.mark.parametrize("path", ["out/secret", "out", "../outside/secret", "sub/../../outside/secret"])
def test_no_file_outside_is_opened(tree: DirectoryTree, path: str) -> None:
    with pytest.raises(OSError):  # noqa: PT011 - ENOENT, ENOTDIR or ELOOP, as it comes
        os.close(tree.open(path))


@pytest.mark.parametrize("path", ["out", "up", "sub/file"])
def test_scandir_of_no_directory(tree: DirectoryTree, path: str) -> None:
    with pytest.raises(NotADirectoryError):
        tree.scandir(path)


def test_scandir_of_nothing(tree: DirectoryTree) -> None:
    with pytest.raises(FileNotFoundError):
        tree.scandir("no")


def test_scandir_sorts_by_bytes(tmp_path: Path) -> None:
    names = [b"a", b"B", "é".encode(), b"\x80", b"a.b", b"a-b", "\U0001f600".encode()]
    for name in names:
        Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), name))).touch()
    found = [os.fsencode(node.name) for node in DirectoryTree(str(tmp_path)).scandir("")]
    assert found == sorted(names)


def test_scandir_and_lstat_agree(tree: DirectoryTree) -> None:
    assert [tree.lstat(node.name) for node in tree.scandir("")] == tree.scandir("")


def test_open_reads_from_the_beginning(tree: DirectoryTree) -> None:
    fd = tree.open("sub/file")
    assert os.read(fd, 100) == b"content"
    os.close(fd)


def test_a_fifo_is_not_opened(tree: DirectoryTree) -> None:
    with pytest.raises(OSError, match="not a regular file"):
        tree.open("fifo")


def test_readlink_gives_the_target_as_it_stands(tree: DirectoryTree) -> None:
    assert tree.readlink("up") == ".."


def test_xattrs_are_those_of_the_user(tree: DirectoryTree, root: Path) -> None:
    os.setxattr(root / "sub/file", "user.a", b"1")
    os.setxattr(root, "user.root", b"\0")
    assert tree.xattrs("sub/file") == {"user.a": b"1"}
    assert tree.xattrs("") == {"user.root": b"\0"}
    assert tree.xattrs("out") == {}


def test_hidden_xattrs_are_left_out(root: Path) -> None:
    os.setxattr(root / "sub", "user.overlay.opaque", b"y")
    os.setxattr(root / "sub", "user.b", b"2")
    assert DirectoryTree(str(root), hidden_xattrs="user.overlay.").xattrs("sub") == {"user.b": b"2"}


def test_a_live_tree_sees_what_was_replaced(root: Path) -> None:
    tree = DirectoryTree(str(root), live=True)
    assert tree.lstat("sub/deep") is not None
    (root / "sub").rename(root / "moved")
    (root / "sub").mkdir()
    assert tree.lstat("sub/deep") is None


def test_deep_paths_need_no_stack(tmp_path: Path) -> None:
    depth = 1200  # deeper than Python recurses
    fd = os.open(tmp_path, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=fd)
        below = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)
    try:
        node = DirectoryTree(str(tmp_path)).lstat("/".join("d" * depth))
    finally:
        remove_tree(str(tmp_path / "d"))  # pytest itself cannot
    assert node is not None
    assert node.kind == "dir"


def test_handles_keep_no_more_than_their_capacity(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / str(number)).mkdir()
    handles = DirectoryHandles([str(tmp_path)], 4)
    before = len(os.listdir("/proc/self/fd"))
    directory = None
    for number in range(20):
        directory = handles.get(str(number))
        assert os.listdir(directory.fd) == []
    del directory
    assert len(os.listdir("/proc/self/fd")) <= before + 4
    handles.clear()
    assert len(os.listdir("/proc/self/fd")) <= before


def test_threads_may_share_a_tree(tmp_path: Path) -> None:
    for number in range(100):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "f").write_text(str(number))
    tree = DirectoryTree(str(tmp_path))
    wrong: list[object] = []

    def read() -> None:
        for number in range(100):
            fd = tree.open(f"{number}/f")
            if os.read(fd, 10) != str(number).encode():
                wrong.append(number)
            os.close(fd)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
