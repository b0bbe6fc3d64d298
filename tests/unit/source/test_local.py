from __future__ import annotations

import contextlib
import errno
import os
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywerf.errors import ContextError
from pywerf.source.dockerignore import IgnoreRules
from pywerf.source.local import LocalTree
from pywerf.util.filetree import resolve
from support.examples import examples


@pytest.fixture
def context(tmp_path: Path) -> Path:
    root = tmp_path / "context"
    for path in ("a/one", "a/b/two", "c/three", "z"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(path)
    (tmp_path / "secret").write_text("secret")
    (root / "out").symlink_to("../secret")
    (root / "outside").symlink_to("..")
    (root / "inside").symlink_to("/a/b")
    return root


def rules(text: str) -> IgnoreRules:
    found = IgnoreRules.parse(text.encode())
    assert found is not None
    return found


def open_ones(inodes: set[int]) -> list[int]:
    """The descriptors of this process that are of one of these files.

    Counting all descriptors would be wrong: what other tests left to the garbage collector is closed at any moment.
    """
    found = []
    for fd in map(int, os.listdir("/proc/self/fd")):
        with contextlib.suppress(OSError):  # the listing's own, and what was closed meanwhile
            if os.fstat(fd).st_ino in inodes:
                found.append(fd)
    return found


def names(tree: LocalTree, path: str = "") -> list[str]:
    return [found for found, _ in tree.walk(path)]


def test_walk_in_component_order(context: Path) -> None:
    (context / "a-b").write_text("")
    (context / "é").write_text("")
    (context / os.fsdecode(b"\xff")).write_text("")
    assert names(LocalTree(str(context))) == [
        "a",
        "a/b",
        "a/b/two",
        "a/one",
        "a-b",
        "c",
        "c/three",
        "inside",
        "out",
        "outside",
        "z",
        "é",
        "\udcff",
    ]
    assert names(LocalTree(str(context)), "a") == ["b", "b/two", "one"]
    assert names(LocalTree(str(context)), "nothing") == []
    assert names(LocalTree(str(context)), "z") == []


def test_nodes_are_what_lstat_says(context: Path) -> None:
    os.chmod(context / "z", 0o4750)
    tree = LocalTree(str(context))
    os.mkfifo(context / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(context / "socket"))
    nodes = dict(tree.walk())
    expected = os.lstat(context / "z")
    node = nodes["z"]
    assert (node.name, node.kind, node.mode) == ("z", "file", 0o4750)
    assert (node.uid, node.gid, node.size, node.nlink) == (expected.st_uid, expected.st_gid, 1, 1)
    assert (node.mtime_ns, node.ctime_ns) == (expected.st_mtime_ns, expected.st_ctime_ns)
    assert (node.ino, node.dev) == (expected.st_ino, expected.st_dev)
    assert [nodes[name].kind for name in ("a", "out", "fifo", "socket")] == ["dir", "symlink", "fifo", "socket"]
    for path, node in nodes.items():
        assert tree.lstat(path) == node
    assert tree.scandir("a") == [nodes["a/b"], nodes["a/one"]]
    root = tree.lstat("")
    assert root is not None
    assert root.kind == "dir"


def test_no_symlink_is_followed(context: Path) -> None:
    tree = LocalTree(str(context))
    assert tree.lstat("outside/secret") is None
    assert tree.lstat("inside/two") is None
    assert tree.readlink("out") == "../secret"
    for path in ("out", "outside/secret", "../secret", "inside/two"):
        with pytest.raises(ContextError):
            tree.open(path)
    with pytest.raises(NotADirectoryError):
        tree.scandir("outside")
    with pytest.raises(FileNotFoundError):
        tree.scandir("nothing")
    assert resolve(tree, "inside/two") == "a/b/two"
    assert resolve(tree, "out") == "secret"  # inside of the context, where there is none
    assert tree.lstat("secret") is None


def test_open_reads_regular_files_alone(context: Path) -> None:
    os.mkfifo(context / "fifo")
    tree = LocalTree(str(context))
    fd = tree.open("a/b/two")
    assert os.read(fd, 100) == b"a/b/two"
    os.close(fd)
    for path in ("fifo", "a"):
        with pytest.raises(ContextError, match=path):
            tree.open(path)


def test_a_symlink_that_replaces_a_folder_meanwhile_leads_nowhere(context: Path) -> None:
    tree = LocalTree(str(context))
    walk = tree.walk()
    assert next(walk)[0] == "a"
    os.rename(context / "c", context / "moved")
    (context / "c").symlink_to("..")
    assert [path for path, _ in walk if path.startswith("c/")] == []


def test_what_vanishes_is_left_out(context: Path) -> None:
    walk = LocalTree(str(context)).walk()
    assert next(walk)[0] == "a"
    (context / "c" / "three").unlink()
    (context / "c").rmdir()
    assert [path for path, _ in walk if path.startswith("c")] == ["c"]


def test_ignored_files_are_not_there(context: Path) -> None:
    tree = LocalTree(str(context), rules("a/b\n*.x\nz\nout*"))
    assert names(tree) == ["a", "a/one", "c", "c/three", "inside"]
    assert tree.lstat("a/b") is None
    assert tree.lstat("a/b/two") is None
    assert tree.lstat("a/one") is not None
    assert [node.name for node in tree.scandir("a")] == ["one"]
    with pytest.raises(FileNotFoundError):
        tree.scandir("a/b")
    assert names(tree, "a/b") == []


def test_an_ignored_folder_is_there_when_something_in_it_is(context: Path) -> None:
    tree = LocalTree(str(context), rules("*\n!a/b/two\n!c/nothing"))
    assert names(tree) == ["a", "a/b", "a/b/two"]
    assert [node.name for node in tree.scandir("")] == ["a"]
    assert [node.name for node in tree.scandir("a")] == ["b"]
    assert tree.lstat("a") is not None
    assert tree.lstat("c") is None
    assert names(tree, "a") == ["b", "b/two"]


def test_folders_that_are_ignored_as_a_whole_are_not_read(context: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    scandir = os.scandir

    def watched(fd: int) -> object:
        read.append(os.readlink(f"/proc/self/fd/{fd}"))
        return scandir(fd)

    monkeypatch.setattr(os, "scandir", watched)
    assert names(LocalTree(str(context), rules("a\n!c/three\n!z"))) == ["c", "c/three", "inside", "out", "outside", "z"]
    assert read == [str(context), str(context / "c")]


def test_deep_trees(tmp_path: Path) -> None:
    here = os.open(tmp_path, os.O_RDONLY)
    depth = 300
    inodes = {os.fstat(here).st_ino}
    for _ in range(depth):
        os.mkdir("directory-name", dir_fd=here)
        below = os.open("directory-name", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
        inodes.add(os.fstat(here).st_ino)
    file = os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=here)
    inodes.add(os.fstat(file).st_ino)
    os.close(file)
    os.close(here)
    tree = LocalTree(str(tmp_path))
    paths = names(tree)
    assert len(paths) == depth + 1
    assert len(paths[-1]) > 4096
    held = tree.open(paths[-1])
    assert held in open_ones(inodes)
    os.close(held)
    del tree
    assert open_ones(inodes) == []


def test_an_abandoned_walk_leaves_nothing_open(context: Path) -> None:
    inodes = {os.lstat(path).st_ino for path in (context, *context.rglob("*"))}
    tree = LocalTree(str(context), rules("z"))
    walk = tree.walk()
    next(walk)
    next(walk)
    assert len(open_ones(inodes)) > 1
    del walk, tree
    assert open_ones(inodes) == []


def test_what_cannot_be_read_is_named_with_a_hint(context: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = LocalTree(str(context))
    real = os.open

    def refusing(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if path in ("one", "b"):
            raise OSError(errno.EACCES, "Permission denied", path)
        return real(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", refusing)
    with pytest.raises(ContextError, match=r"cannot read a/one in .*Permission denied") as caught:
        tree.open("a/one")
    assert caught.value.hint is not None
    assert ".dockerignore" in caught.value.hint
    with pytest.raises(ContextError, match="cannot read a/b in"):
        names(tree)
    assert names(LocalTree(str(context), rules("a/b"))) != []


def test_a_context_that_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ContextError, match=r"cannot open the build context .*missing: No such file") as caught:
        LocalTree(str(tmp_path / "missing"))
    assert caught.value.hint is not None
    (tmp_path / "file").write_text("")
    with pytest.raises(ContextError, match="Not a directory"):
        LocalTree(str(tmp_path / "file"))


def test_xattrs(context: Path) -> None:
    os.setxattr(context / "z", "user.note", b"\0value")
    assert LocalTree(str(context)).xattrs("z") == {"user.note": b"\0value"}
    assert LocalTree(str(context)).xattrs("a") == {}
    assert LocalTree(str(context)).xattrs("out") == {}


PARTS = st.sampled_from(["a", "b", "*", "**", "a*", "?", "[^a]", "c"])
LINES = st.tuples(st.sampled_from(["", "!"]), st.lists(PARTS, min_size=1, max_size=3).map("/".join)).map("".join)


@examples(60)
@given(lines=st.lists(LINES, min_size=1, max_size=4))
def test_walk_scandir_and_lstat_agree_with_the_patterns(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str]
) -> None:
    root = tmp_path_factory.getbasetemp() / "agree"
    if not root.exists():
        for path in ("a/a/a", "a/b/c", "b/a", "b/c/a", "b/c/b", "c"):
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text("")
    found = rules("\n".join(lines))
    files = [path for path, node in LocalTree(str(root)).walk() if node.kind != "dir" and not found.ignored(path)]
    folders = [path for path, node in LocalTree(str(root)).walk() if node.kind == "dir"]
    expected = set(files) | {
        folder
        for folder in folders
        if not found.ignored(folder) or any(path.startswith(folder + "/") for path in files)
    }
    # An ignored folder stays for what is in it, be it an empty folder.
    expected |= {folder for folder in folders if any(path.startswith(folder + "/") for path in expected)}
    tree = LocalTree(str(root), found)
    walked = names(tree)
    assert set(walked) == expected

    def scanned(folder: str) -> list[str]:
        paths: list[str] = []
        for node in tree.scandir(folder):
            path = f"{folder}/{node.name}" if folder else node.name
            paths.append(path)
            if node.kind == "dir":
                paths.extend(scanned(path))
        return paths

    assert scanned("") == walked
    for path, _ in LocalTree(str(root)).walk():
        assert (tree.lstat(path) is not None) == (path in expected)
