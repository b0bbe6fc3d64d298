"""Folders of RUN --mount=type=cache: which steps share one, what is in it at first. Needs root, for their owners."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from pywerf.backend.buildah.cache_mounts import CacheFolder, cache_name, lock_caches
from pywerf.backend.buildah.files import Files
from pywerf.errors import BuildError
from pywerf.graph.op import ExecMount
from pywerf.store.store import Store
from support.memory_tree import MemoryTree, link

pytestmark = pytest.mark.integration


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(str(tmp_path / "store")) as store:
        yield store


def _mount(**fields: object) -> ExecMount:
    return ExecMount(type="cache", **{"target": "/c", **fields})  # type: ignore[arg-type]


Open = Callable[..., tuple[str, bool]]


@pytest.fixture
def opened(store: Store, tmp_path: Path) -> Iterator[Open]:
    """Open the folder of a mount; it is held until the test ends."""
    with ExitStack() as stack:

        def call(mount: ExecMount, tree: MemoryTree | None = None) -> tuple[str, bool]:
            name = cache_name(mount, None)
            return CacheFolder(store, stack, mount, name, tree).open(str(tmp_path / "scratch"))

        yield call


def test_the_id_tells_caches_apart() -> None:
    same = cache_name(_mount(), None)
    assert cache_name(_mount(id="/c"), None) == same
    assert cache_name(_mount(id="/c", target="/elsewhere", source="x", read_only=True, sharing="locked"), None) == same
    assert cache_name(_mount(id="other"), None) != same


def test_owner_mode_and_beginning_tell_caches_apart() -> None:
    first, second = (Files(name, MemoryTree({})) for name in ("one", "two"))
    known = Files("one", MemoryTree({}), identity="git 123")
    names = {
        cache_name(_mount(), None),
        cache_name(_mount(uid=0), None),
        cache_name(_mount(gid=0), None),
        cache_name(_mount(mode=0o755), None),
        cache_name(_mount(input=1), None),
        cache_name(_mount(input=1), first),
        cache_name(_mount(input=1), second),
        cache_name(_mount(input=1), known),
    }
    assert len(names) == 8


def test_what_was_written_stays(opened: Open) -> None:
    folder, is_dir = opened(_mount())
    Path(folder, "kept").write_text("1")
    assert is_dir
    assert opened(_mount()) == (folder, True)
    assert os.listdir(folder) == ["kept"]


def test_a_new_cache_has_the_mode_that_was_asked_for(opened: Open) -> None:
    assert stat.S_IMODE(os.stat(opened(_mount())[0]).st_mode) == 0o755
    assert stat.S_IMODE(os.stat(opened(_mount(mode=0o1777))[0]).st_mode) == 0o1777


def test_a_cache_begins_with_files(opened: Open) -> None:
    tree = MemoryTree({"a/b": "1"}, owner=(os.getuid(), os.getgid()))
    folder, _ = opened(_mount(input=1), tree)
    assert Path(folder, "a/b").read_text() == "1"


def test_a_source_is_a_part_of_the_cache(opened: Open) -> None:
    tree = MemoryTree({"dir/x": "1", "up": link("/dir"), "out": link("../../../etc")}, owner=(os.getuid(), os.getgid()))
    mount = _mount(input=1)
    folder, _ = opened(mount, tree)
    for source, is_dir in (("dir", True), ("/dir/x", False), ("up", True), ("up/x", False), (".", True)):
        assert opened(_mount(input=1, source=source), tree) == (folder, is_dir)


@pytest.mark.parametrize("source", ["missing", "out/passwd"])
def test_a_source_that_is_not_in_the_cache(opened: Open, source: str) -> None:
    tree = MemoryTree({"out": link("../../../etc")}, owner=(os.getuid(), os.getgid()))
    with pytest.raises(BuildError, match="in the cache"):
        opened(_mount(input=1, source=source), tree)


def test_private_caches_are_not_shared_at_once(opened: Open) -> None:
    first, _ = opened(_mount(sharing="private"))
    second, _ = opened(_mount(sharing="private"))
    assert first != second


def test_locks_are_taken_once_each(store: Store) -> None:
    with ExitStack() as stack:
        lock_caches(store, stack, ["b", "a", "b"])
        with store.lock("cache-mount-a", wait=False) as free:
            assert not free
    with store.lock("cache-mount-a", wait=False) as free:
        assert free
