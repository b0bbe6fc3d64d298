"""What COPY does to a file system: rules of BuildKit and docker, on trees in memory."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywerf.backend.buildah.copy_plan import CopyPlan
from pywerf.errors import BuildError, ContextError
from pywerf.util.filetree import Node, walk
from support.memory_tree import MemoryTree, directory, link

NOW = 1_700_000_000_000_000_000


def _plan(lower: MemoryTree | None = None, owner: tuple[int, int] | None = (0, 0), mode: int | None = None) -> CopyPlan:
    change = None if mode is None else lambda old, is_dir: mode
    return CopyPlan(lower, owner=owner, mode=change, made_ns=NOW)


def _file(name: str = "f", mode: int = 0o644, uid: int = 7, gid: int = 8) -> Node:
    return Node(name, "file", mode, uid, gid, 1, 5)


def _dir(name: str = "d", mode: int = 0o750) -> Node:
    return Node(name, "dir", mode, 7, 8, 0, 5)


def _modes(plan: CopyPlan) -> dict[str, tuple[str, int, int, int]]:
    return {path: (entry.node.kind, entry.node.mode, entry.node.uid, entry.node.gid) for path, entry in plan.sorted()}


def test_missing_directories_are_made_for_the_owner() -> None:
    plan = _plan(owner=(3, 4))
    plan.make_directories("a/b")
    assert _modes(plan) == {"a": ("dir", 0o755, 3, 4), "a/b": ("dir", 0o755, 3, 4)}
    assert plan.entries["a/b"].node.mtime_ns == NOW


def test_directories_that_are_there_stay_as_they_are() -> None:
    plan = _plan(MemoryTree({"srv": directory(0o700, 1, 2)}), owner=(3, 4))
    plan.make_directories("srv/www")
    assert _modes(plan) == {"srv": ("dir", 0o700, 1, 2), "srv/www": ("dir", 0o755, 3, 4)}
    assert plan.entries["srv"].parent
    assert not plan.entries["srv/www"].parent


def test_a_file_on_the_way_is_an_error() -> None:
    with pytest.raises(BuildError, match="mkdir /etc: not a directory"):
        _plan(MemoryTree({"etc": "file"})).make_directories("etc/app")


def test_the_contents_of_a_directory_are_copied_not_itself() -> None:
    source = MemoryTree({"src/a": "1", "src/sub": directory(0o700, 9, 9), "src/sub/b": "2"})
    plan = _plan(MemoryTree({"app": directory(0o711, 1, 1)}))
    plan.copy_directory(source, "src", walk(source, "src"), "app")
    assert _modes(plan) == {
        "app": ("dir", 0o711, 1, 1),
        "app/a": ("file", 0o644, 0, 0),
        "app/sub": ("dir", 0o700, 0, 0),
        "app/sub/b": ("file", 0o644, 0, 0),
    }


def test_a_directory_met_further_down_takes_the_mode_of_the_source() -> None:
    source = MemoryTree({"sub": directory(0o700), "sub/x": "1"})
    plan = _plan(MemoryTree({"app/sub": directory(0o755, 5, 5)}))
    plan.copy_directory(source, "", walk(source, ""), "app")
    assert plan.entries["app/sub"].node.mode == 0o700


@pytest.mark.parametrize("lower", [MemoryTree({"x": "file"}), MemoryTree({"x": link("/elsewhere")})])
def test_a_file_replaces_a_file_or_a_link(lower: MemoryTree) -> None:
    plan = _plan(lower)
    plan.put("x", _file(), None, "")
    assert plan.entries["x"].node.kind == "file"


def test_kinds_are_not_exchanged() -> None:
    lower = MemoryTree({"d/inside": "1", "f": "2"})
    with pytest.raises(BuildError, match="cannot replace directory with file: /d"):
        _plan(lower).put("d", _file(), None, "")
    with pytest.raises(BuildError, match="cannot copy to non-directory: /f"):
        _plan(lower).put("f", _dir(), None, "")


def test_an_archive_exchanges_kinds() -> None:
    plan = _plan(MemoryTree({"d/inside": "1", "f": "2"}))
    plan.put("d", _file(), None, "", replace=True)
    plan.put("f", _dir(), None, "", replace=True)
    assert {path: entry.node.kind for path, entry in plan.sorted()} == {"d": "file", "f": "dir"}
    assert plan.below("f/inside") is None


def test_what_was_planned_in_a_directory_goes_with_it() -> None:
    plan = _plan()
    plan.put("d", _dir(), None, "")
    plan.put("d/x", _file(), None, "")
    plan.put("d2", _file(), None, "")
    plan.put("d", _file(), None, "", replace=True)
    assert list(_modes(plan)) == ["d", "d2"]
    plan.put("d", _dir(), None, "", replace=True)
    assert plan.lstat("d/x") is None


def test_owners_and_modes() -> None:
    keep, set_mode = _plan(owner=None), _plan(owner=(1, 2), mode=0o700)
    for plan in (keep, set_mode):
        plan.put("f", _file(), None, "")
        plan.put("l", Node("l", "symlink", 0o777, 7, 8, 0, 5), None, "", target="f")
    assert _modes(keep) == {"f": ("file", 0o644, 7, 8), "l": ("symlink", 0o777, 7, 8)}
    assert _modes(set_mode) == {"f": ("file", 0o700, 1, 2), "l": ("symlink", 0o777, 1, 2)}


def test_sockets_are_left_out() -> None:
    plan = _plan()
    plan.put("s", Node("s", "socket", 0o777, 0, 0, 0, 0), None, "")
    assert not plan.entries


def test_links_are_followed_below_and_in_the_plan() -> None:
    plan = _plan(MemoryTree({"lib": link("usr/lib"), "usr/lib/x": "1", "abs": link("/usr")}))
    assert plan.resolve("/lib/x") == "usr/lib/x"
    assert plan.resolve("abs/lib/../new") == "usr/new"
    plan.put("now", Node("now", "symlink", 0o777, 0, 0, 0, 0), None, "", target="/lib")
    assert plan.resolve("now/y") == "usr/lib/y"
    assert plan.resolve("now", follow_last=False) == "now"


def test_links_of_an_archive_stay_below_its_destination() -> None:
    plan = _plan(MemoryTree({"dest/up": link("../../etc"), "etc/passwd": "x"}))
    assert plan.resolve("up/passwd", root="dest") == "dest/etc/passwd"


def test_a_circle_of_links_is_an_error() -> None:
    plan = _plan(MemoryTree({"a": link("b"), "b": link("a")}))
    with pytest.raises(ContextError, match="too many levels"):
        plan.resolve("a")


names = st.sampled_from(["a", "b", "a.b", "a-b", "ab", "é"])
paths = st.lists(names, min_size=1, max_size=4).map("/".join)


@given(st.sets(paths, max_size=12))
def test_a_walk_shows_directories_before_what_is_in_them(chosen: set[str]) -> None:
    files = {path: "x" for path in chosen if not any(other.startswith(f"{path}/") for other in chosen)}
    tree = MemoryTree(files)
    seen = [path for path, _ in walk(tree, "")]
    assert len(seen) == len(set(seen))
    assert set(files) <= set(seen)
    for number, path in enumerate(seen):
        parent = path.rpartition("/")[0]
        assert not parent or parent in seen[:number]


@given(st.sets(paths, max_size=12))
def test_the_order_of_a_layer_is_that_of_a_walk(chosen: set[str]) -> None:
    files = {path: "x" for path in chosen if not any(other.startswith(f"{path}/") for other in chosen)}
    tree = MemoryTree(files)
    plan = _plan()
    plan.copy_directory(tree, "", reversed(list(walk(tree, ""))), "")
    assert [path for path, _ in plan.sorted()] == [path for path, _ in walk(tree, "")]
