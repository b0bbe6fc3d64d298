from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pywerf.errors import ContextError
from pywerf.source import digests as digests_module
from pywerf.source.digests import FileDigests, content_digest, fingerprint
from pywerf.source.local import LocalTree


class Store:
    """Keeps one blob and counts how often it was written."""

    def __init__(self) -> None:
        self.blob: bytes | None = None
        self.saved = 0

    def load(self) -> bytes | None:
        return self.blob

    def save(self, blob: bytes) -> None:
        self.blob = blob
        self.saved += 1

    def digests(self) -> FileDigests:
        return FileDigests(self.load, self.save)


class CountingTree(LocalTree):
    """A LocalTree that tells what it opened."""

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self.opened: list[str] = []

    def open(self, path: str) -> int:
        self.opened.append(path)
        return super().open(path)


@pytest.fixture
def context(tmp_path: Path) -> Path:
    root = tmp_path / "context"
    (root / "sub").mkdir(parents=True)
    (root / "a").write_bytes(b"one")
    (root / "sub" / "b").write_bytes(b"two" * 200_000)
    (root / "sub" / "empty").write_bytes(b"")
    (root / "link").symlink_to("a")
    return root


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Moves the clock of the digests, so that files seem to have been changed long before."""
    shift = [0.0]
    real = time.time_ns
    monkeypatch.setattr(digests_module.time, "time_ns", lambda: real() + int(shift[0] * 1e9))

    def move(seconds: float) -> None:
        shift[0] = seconds

    return move


@pytest.fixture
def store() -> Store:
    return Store()


def scan(store: Store, root: Path, **options: object) -> tuple[str, list[str]]:
    """One build: the digest of the whole context, and what was read for it."""
    tree = CountingTree(str(root))
    memory = store.digests()
    digest = memory.content_digest(tree, [("", "")], **options)  # type: ignore[arg-type]
    memory.flush()
    return str(digest), tree.opened


def test_digest_of_is_sha256_of_the_content(store: Store, context: Path) -> None:
    tree = LocalTree(str(context))
    for path in ("a", "sub/b", "sub/empty"):
        node = tree.lstat(path)
        assert node is not None
        expected = hashlib.sha256((context / path).read_bytes()).digest()
        assert store.digests().digest_of(tree, path, node) == expected


def test_an_unchanged_file_is_read_once(store: Store, context: Path, later: Callable[[float], None]) -> None:
    later(10)
    first, opened = scan(store, context)
    assert sorted(opened) == ["a", "sub/b", "sub/empty"]
    assert scan(store, context) == (first, [])
    assert store.saved == 1

    (context / "a").write_bytes(b"new")
    second, opened = scan(store, context)
    assert second != first
    assert opened == ["a"]
    assert scan(store, context) == (second, [])


def test_what_was_not_touched_is_known(store: Store, context: Path, later: Callable[[float], None]) -> None:
    def known(owners: bool = True) -> str | None:
        tree = CountingTree(str(context))
        digest = store.digests().known_digest(tree, [("", "")], owners=owners, listed={"": list(tree.walk())})
        assert tree.opened == []
        return None if digest is None else str(digest)

    later(10)
    assert known() is None
    first, _ = scan(store, context)
    assert known() == first
    assert known(owners=False) is None
    (context / "a").write_bytes(b"new")
    assert known() is None


@pytest.mark.parametrize("what", ["touch", "replace", "rename over", "chmod"])
def test_whatever_happens_to_a_file_it_is_looked_at_again(
    store: Store, context: Path, later: Callable[[float], None], what: str
) -> None:
    later(10)
    first, _ = scan(store, context)
    path = context / "a"
    before = path.stat()
    if what == "touch":
        os.utime(path)
    elif what == "replace":
        path.write_bytes(b"two")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    elif what == "rename over":
        (context / "other").write_bytes(b"two")
        os.utime(context / "other", ns=(before.st_atime_ns, before.st_mtime_ns))
        os.rename(context / "other", path)
    else:
        path.chmod(0o600)
    second, opened = scan(store, context)
    assert "a" in opened
    assert (second == first) == (what == "touch")


def test_what_was_changed_just_now_is_not_trusted_next_time(
    store: Store, context: Path, later: Callable[[float], None]
) -> None:
    later(0)
    os.utime(context / "a")
    os.utime(context / "sub" / "b")
    later(0.05)  # within the window
    first, _ = scan(store, context)
    second, opened = scan(store, context)
    assert first == second
    assert sorted(opened) == ["a", "sub/b", "sub/empty"]
    later(1)
    scan(store, context)
    assert scan(store, context) == (first, [])


def test_times_from_the_future_are_not_trusted(store: Store, context: Path, later: Callable[[float], None]) -> None:
    later(-100)
    scan(store, context)
    _, opened = scan(store, context)
    assert len(opened) == 3


def test_a_file_that_grows_while_it_is_read_is_not_remembered(
    store: Store, context: Path, later: Callable[[float], None]
) -> None:
    later(10)
    tree = CountingTree(str(context))
    node = tree.lstat("a")
    assert node is not None
    with open(context / "a", "ab") as stream:
        stream.write(b"more")
    memory = store.digests()
    assert memory.digest_of(tree, "a", node) == hashlib.sha256(b"onemore").digest()
    memory.digest_of(tree, "a", node)
    assert tree.opened == ["a", "a"]


def test_a_removed_or_added_file_changes_the_digest(
    store: Store, context: Path, later: Callable[[float], None]
) -> None:
    later(10)
    first, _ = scan(store, context)
    (context / "sub" / "empty").unlink()
    second, opened = scan(store, context)
    assert opened == []
    (context / "sub" / "empty").write_bytes(b"")
    third, opened = scan(store, context)
    assert opened == ["sub/empty"]
    assert first == third != second


def test_the_same_content_elsewhere_has_the_same_digest(context: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(context, copy, symlinks=True)
    for folder in (copy, copy / "sub"):
        os.utime(folder, (0, 0))
    assert content_digest(LocalTree(str(copy)), [("", "")]) == content_digest(LocalTree(str(context)), [("", "")])


@pytest.mark.parametrize("change", ["content", "mode", "name", "link", "kind", "folder mode", "empty folder"])
def test_what_the_digest_covers(context: Path, change: str) -> None:
    before = content_digest(LocalTree(str(context)), [("", "")])
    if change == "content":
        (context / "a").write_bytes(b"eno")
    elif change == "mode":
        (context / "a").chmod(0o755)
    elif change == "name":
        (context / "a").rename(context / "A")
    elif change == "link":
        (context / "link").unlink()
        (context / "link").symlink_to("b")
    elif change == "kind":
        (context / "sub" / "empty").unlink()
        (context / "sub" / "empty").mkdir()
    elif change == "folder mode":
        (context / "sub").chmod(0o700)
    else:
        (context / "new").mkdir()
    assert content_digest(LocalTree(str(context)), [("", "")]) != before


def test_what_the_digest_does_not_cover(context: Path) -> None:
    before = content_digest(LocalTree(str(context)), [("", "")])
    os.utime(context / "a", (5, 5))
    context.chmod(0o700)
    os.link(context / "a", context.parent / "hard link")
    assert content_digest(LocalTree(str(context)), [("", "")]) == before


def test_selections(context: Path) -> None:
    tree = LocalTree(str(context))

    def of(*selection: tuple[str, str], excluded: Callable[[str], bool] | None = None) -> str:
        return str(content_digest(tree, selection, excluded=excluded))

    assert of(("x", "a")) != of(("y", "a"))  # the name it gets
    assert of(("x", "a")) != of(("x", "sub/empty"))
    assert of(("", "sub"), ("a", "a")) != of(("a", "a"), ("", "sub"))
    (context / "again").mkdir()
    (context / "again" / "empty").write_bytes(b"")
    assert of(("s", "sub"), excluded=lambda path: path == "b") == of(("s", "again"))
    assert of(("", ""), excluded=lambda path: path == "sub") == of(
        ("", ""), excluded=lambda path: path in ("sub", "sub/b", "sub/empty")
    )
    with pytest.raises(ContextError, match="missing"):
        of(("x", "missing"))


def test_owners_can_be_left_out(memory_tree) -> None:  # type: ignore[no-untyped-def]
    tree = memory_tree({"a": b"x"})
    other = memory_tree({"a": b"x"})
    lstat = other.lstat
    import msgspec

    other.lstat = lambda path: msgspec.structs.replace(lstat(path), uid=7)
    assert content_digest(tree, [("a", "a")]) != content_digest(other, [("a", "a")])
    assert content_digest(tree, [("a", "a")], owners=False) == content_digest(other, [("a", "a")], owners=False)


def test_excluded_without_a_walk_of_its_own(memory_tree, context: Path) -> None:  # type: ignore[no-untyped-def]
    tree = memory_tree({"d/a": b"1", "d/b/c": b"2", "d/b/d": b"3"})
    without = memory_tree({"d/a": b"1"})
    assert content_digest(tree, [("d", "d")], excluded=lambda path: path == "b") == content_digest(
        without, [("d", "d")]
    )
    assert tree.opened == ["d/a"]


def test_a_tree_without_change_times_is_always_read(memory_tree, store: Store) -> None:  # type: ignore[no-untyped-def]
    tree = memory_tree({"a": b"1"})
    memory = store.digests()
    first = memory.content_digest(tree, [("a", "a")])
    tree.files["a"] = b"2"
    assert memory.content_digest(tree, [("a", "a")]) != first


def test_content_ids_are_taken_instead_of_reading(memory_tree, store: Store) -> None:  # type: ignore[no-untyped-def]
    tree = memory_tree({"a": b"1", "b": b"2"})

    class Addressed(type(tree)):  # type: ignore[misc]
        def content_id(self, path: str) -> bytes:
            return b"id of " + self.files[path]

    addressed = Addressed({"a": b"1", "b": b"2"})
    memory = store.digests()
    first = memory.content_digest(addressed, [("", "")])
    assert addressed.opened == []
    addressed.files["a"] = b"3"
    assert memory.content_digest(addressed, [("", "")]) != first
    memory.flush()
    assert store.saved == 0


def test_names_that_are_not_utf8(store: Store, context: Path, later: Callable[[float], None]) -> None:
    later(10)
    (context / os.fsdecode(b"\xff")).write_bytes(b"x")
    first, _ = scan(store, context)
    assert scan(store, context) == (first, [])
    (context / "a").write_bytes(b"new")
    _, opened = scan(store, context)
    assert opened == ["a"]


@pytest.mark.parametrize("damage", [b"", b"nonsense", b"cut", b"other version"])
def test_a_memory_that_is_damaged_is_made_again(
    store: Store, context: Path, later: Callable[[float], None], damage: bytes
) -> None:
    later(10)
    first, _ = scan(store, context)
    assert store.blob is not None
    if damage == b"cut":
        store.blob = store.blob[:-1]
    elif damage == b"other version":
        store.blob = b"pwfd\x00\x09" + store.blob[6:]
    else:
        store.blob = damage
    again, opened = scan(store, context)
    assert again == first
    assert len(opened) == 3
    assert scan(store, context) == (first, [])


def test_what_no_build_asks_for_is_forgotten_after_a_month(
    store: Store, context: Path, monkeypatch: pytest.MonkeyPatch, later: Callable[[float], None]
) -> None:
    later(10)
    scan(store, context)
    assert store.blob is not None
    assert b"sub/empty" in store.blob
    real = time.time()
    monkeypatch.setattr(digests_module.time, "time", lambda: real + 20 * 86400)
    (context / "sub" / "empty").unlink()
    (context / "a").write_bytes(b"2")
    scan(store, context)
    assert b"sub/empty" in store.blob
    monkeypatch.setattr(digests_module.time, "time", lambda: real + 40 * 86400)
    (context / "a").write_bytes(b"3")
    scan(store, context)
    assert b"sub/empty" not in store.blob
    assert b"sub/b" in store.blob


def test_large_sets_are_hashed_in_order(store: Store, tmp_path: Path) -> None:
    for number in range(40):
        (tmp_path / f"{number:02}").write_bytes(bytes([number]) * (150_000 + number))
    tree = LocalTree(str(tmp_path))
    files = list(tree.walk())
    expected = [hashlib.sha256((tmp_path / path).read_bytes()).digest() for path, _ in files]
    assert store.digests().digests_of(tree, files) == expected


def test_fingerprint_sees_every_field(context: Path) -> None:
    import msgspec

    tree = LocalTree(str(context))
    nodes = list(tree.walk())
    seen = {fingerprint(nodes), fingerprint(nodes[1:]), fingerprint([])}
    path, node = nodes[0]
    for field in ("mode", "uid", "gid", "size", "mtime_ns", "ctime_ns", "rdev", "ino", "dev", "nlink"):
        other = msgspec.structs.replace(node, **{field: getattr(node, field) + 1})
        seen.add(fingerprint([(path, other), *nodes[1:]]))
    seen.add(fingerprint([(path + "x", node), *nodes[1:]]))
    assert len(seen) == 14
    assert fingerprint(list(tree.walk())) == fingerprint(nodes)


def test_an_unreadable_file_is_a_context_error(context: Path) -> None:
    tree = LocalTree(str(context))
    node = tree.lstat("a")
    assert node is not None
    (context / "a").unlink()
    with pytest.raises(ContextError, match="cannot read a in"):
        FileDigests(lambda: None, lambda data: None).digest_of(tree, "a", node)


def test_a_young_file_is_told_by_what_was_read_of_it(tmp_path: Path) -> None:
    """What a COPY has read counts, even when the file is another one by the time that the step is remembered."""
    (tmp_path / "young").write_text("copied")
    tree = LocalTree(str(tmp_path))
    node = tree.lstat("young")
    assert node is not None
    digests = FileDigests(lambda: None, lambda data: None)
    digests.remember("young", node, hashlib.sha256(b"copied").digest())
    expected = content_digest(tree, [("young", "young")])
    (tmp_path / "young").write_text("edited later")
    assert digests.content_digest(tree, [("young", "young")], listed={"young": [("", node)]}) == expected
    assert digests.content_digest(tree, [("young", "young")]) != expected
