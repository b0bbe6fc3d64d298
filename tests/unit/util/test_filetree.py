from __future__ import annotations

import posixpath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywerf.errors import ContextError
from pywerf.util.filetree import MAX_SYMLINKS, FileTree, Node, join, resolve


class MemoryTree:
    """A tree from a mapping: path -> None for a directory, text for a file, `-> target` for a symlink."""

    def __init__(self, entries: dict[str, str | None]) -> None:
        self.entries = entries

    def lstat(self, path: str) -> Node | None:
        name = posixpath.basename(path)
        if not path:
            return Node("", "dir", 0o755, 0, 0, 0, 0)
        for at in range(len(path)):
            # as the system does it: no way through a symlink or a file
            if path[at] == "/" and self.entries.get(path[:at], "") is not None:
                return None
        if path not in self.entries:
            return None
        entry = self.entries[path]
        if entry is None:
            return Node(name, "dir", 0o755, 0, 0, 0, 0)
        if entry.startswith("-> "):
            return Node(name, "symlink", 0o777, 0, 0, 0, 0)
        return Node(name, "file", 0o644, 0, 0, len(entry), 0)

    def scandir(self, path: str) -> list[Node]:
        raise AssertionError("nothing is listed to resolve a path")

    def readlink(self, path: str) -> str:
        entry = self.entries[path]
        assert entry is not None
        assert entry.startswith("-> ")
        return entry[3:]

    def open(self, path: str) -> int:
        raise AssertionError("nothing is read to resolve a path")

    def xattrs(self, path: str) -> dict[str, bytes]:
        return {}


TREE: FileTree = MemoryTree(
    {
        "etc": None,
        "etc/passwd": "x",
        "etc/mtab": "-> ../proc/mounts",
        "proc": None,
        "proc/mounts": "m",
        "var": None,
        "var/run": "-> /run",
        "run": None,
        "run/lock": None,
        "up": "-> ../../../..",
        "here": "-> .",
        "slash": "-> /",
        "empty": "-> //",
        "file": "f",
        "chain": "-> link1",
        "link1": "-> etc/../link2/",
        "link2": "-> /var/run/lock",
        "loop": "-> loop",
        "a": "-> b",
        "b": "-> a",
        "dangling": "-> no/such",
        "deep": "-> deep/x",
    }
)


@pytest.mark.parametrize(
    ("path", "resolved"),
    [
        ("", ""),
        ("/", ""),
        (".", ""),
        ("..", ""),
        ("../../..", ""),
        ("/etc/passwd", "etc/passwd"),
        ("etc//./passwd/", "etc/passwd"),
        ("etc/../etc/passwd", "etc/passwd"),
        ("../../etc/passwd", "etc/passwd"),
        ("etc/mtab", "proc/mounts"),
        ("var/run/x", "run/x"),
        ("var/run/../x", "x"),  # `..` of where the link leads, as the kernel has it
        ("up", ""),
        ("up/etc", "etc"),
        ("here/here/here/etc", "etc"),
        ("slash/etc/passwd", "etc/passwd"),
        ("empty/etc", "etc"),
        ("chain", "run/lock"),
        ("chain/new/file", "run/lock/new/file"),
        ("dangling", "no/such"),
        ("dangling/more", "no/such/more"),
        ("no/such/../thing", "no/thing"),
        ("file/below", "file/below"),
    ],
)
def test_paths_stay_in_the_tree(path: str, resolved: str) -> None:
    assert resolve(TREE, path) == resolved


@pytest.mark.parametrize(
    ("path", "resolved"),
    [
        ("etc/mtab", "etc/mtab"),
        ("var/run", "var/run"),
        ("var/run/lock", "run/lock"),
        ("chain", "chain"),
        ("loop", "loop"),
    ],
)
def test_the_last_link_can_be_meant_itself(path: str, resolved: str) -> None:
    assert resolve(TREE, path, follow_last=False) == resolved


@pytest.mark.parametrize("path", ["loop", "a", "b/c", "loop/..", "deep"])
def test_loops_are_found(path: str) -> None:
    with pytest.raises(ContextError, match=rf"^{path}: too many levels of symbolic links$"):
        resolve(TREE, path)


def test_so_many_links_are_allowed() -> None:
    entries: dict[str, str | None] = {f"l{n}": f"-> l{n + 1}" for n in range(MAX_SYMLINKS)}
    entries[f"l{MAX_SYMLINKS}"] = "end"
    assert resolve(MemoryTree(entries), "l0") == f"l{MAX_SYMLINKS}"
    entries["start"] = "-> l0"
    with pytest.raises(ContextError):
        resolve(MemoryTree(entries), "start")


def test_a_link_bomb_costs_no_time() -> None:
    entries: dict[str, str | None] = {"l0": "-> ."}
    for number in range(1, 40):
        entries[f"l{number}"] = f"-> l{number - 1}/l{number - 1}"
    with pytest.raises(ContextError):
        resolve(MemoryTree(entries), "l39")


@given(st.lists(st.sampled_from(["..", ".", "", "etc", "up", "here", "slash", "var", "run", "x", "mtab", "chain"])))
def test_what_is_resolved_is_plain_and_stays_the_same(parts: list[str]) -> None:
    path = resolve(TREE, "/".join(parts))
    assert not path.startswith("/")
    assert not set(path.split("/")) & {"..", "."}
    assert resolve(TREE, path) == path


def test_join() -> None:
    assert (join("", "a"), join("a/b", "c")) == ("a", "a/b/c")
