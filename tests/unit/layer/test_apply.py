"""Unpacking layers: contents, metadata, replacements, removals in both forms."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from pywerf.layer.apply import AppliedLayer, LayerForm, apply_layer, inherit_directories
from pywerf.layer.tar_write import TarWriter
from support.trees import header, pax, tree

Unpack = Callable[..., AppliedLayer]
NS = 10**9
OPAQUE = "user.overlay.opaque"


def archive(write: Callable[[TarWriter], None]) -> bytes:
    chunks: list[bytes] = []
    writer = TarWriter(chunks.append, subsecond=True)
    write(writer)
    writer.flush()
    return b"".join(chunks)


def file(name: bytes, content: bytes = b"") -> bytes:
    return header(name, size=len(content)) + content + bytes(-len(content) % 512)


def directory(name: bytes) -> bytes:
    return header(name, kind=b"5", mode=0o755)


def is_whiteout(path: Path) -> bool:
    status = path.lstat()
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def test_everything_an_entry_says(unpack: Unpack, root: Path, form: LayerForm) -> None:
    def write(writer: TarWriter) -> None:
        writer.directory("d", 0o1750, 0, 0, 5 * NS + 7, {"user.dir": b"1"})
        writer.file_bytes("d/suid", 0o6755, 0, 0, 6 * NS + 8, b"content", {"user.x": b"\0\xff"})
        writer.file_bytes("d/none", 0o000, 0, 0, -3 * NS, b"secret")
        writer.symlink("d/link", "suid", 0, 0, 7 * NS)
        writer.device("d/fifo", "fifo", 0o622, 0, 0, 8 * NS)
        writer.hardlink("d/zhard", "d/suid", 0o6755, 0, 0, 6 * NS)

    data = archive(write)
    result = unpack(data, form=form)
    assert (result.entries, result.size, result.implicit) == (6, len(data) + 1024, ())
    assert result.diff_id.hex == hashlib.sha256(data + bytes(1024)).hexdigest()
    found = tree(root)
    uid, gid = os.getuid(), root.stat().st_gid
    assert found == {
        "d": ("0o41750", uid, gid, 5, None, {"user.dir": b"1"}, "d"),
        "d/fifo": ("0o10622", uid, gid, 8, None, {}, "d/fifo"),
        "d/link": ("0o120777", uid, gid, 7, "suid", {}, "d/link"),
        "d/none": ("0o100000", uid, gid, -3, b"secret", {}, "d/none"),
        "d/suid": ("0o106755", uid, gid, 6, b"content", {"user.x": b"\0\xff"}, "d/suid"),
        "d/zhard": ("0o106755", uid, gid, 6, b"content", {"user.x": b"\0\xff"}, "d/suid"),
    }
    assert (root / "d").stat().st_mtime_ns == 5 * NS + 7
    assert (root / "d/suid").stat().st_mtime_ns == 6 * NS + 8


def test_times_of_directories_are_set_after_their_content(unpack: Unpack, root: Path, form: LayerForm) -> None:
    unpack(
        header(b"d/", kind=b"5", mtime=5),
        file(b"d/one"),
        header(b"d/e/", kind=b"5", mtime=6),
        file(b"d/e/two"),
        form=form,
    )
    assert (root / "d").stat().st_mtime_ns == 5 * NS
    assert (root / "d/e").stat().st_mtime_ns == 6 * NS


def test_modes_do_not_depend_on_the_umask(unpack: Unpack, root: Path, form: LayerForm) -> None:
    before = os.umask(0o077)
    try:
        unpack(
            header(b"f", mode=0o666),
            header(b"d", kind=b"5", mode=0o777),
            header(b"p/q", kind=b"6", mode=0o666),
            form=form,
        )
    finally:
        os.umask(before)
    modes = {name: entry[0] for name, entry in tree(root).items()}
    assert modes == {"f": "0o100666", "d": "0o40777", "p": "0o40755", "p/q": "0o10666"}


def test_owner_map_decides(unpack: Unpack, root: Path, form: LayerForm) -> None:
    asked: list[tuple[int, int]] = []

    def owner_map(uid: int, gid: int) -> tuple[int, int]:
        asked.append((uid, gid))
        return os.getuid(), os.getgid()

    def write(writer: TarWriter) -> None:
        writer.directory("d", 0o755, 1, 2, 0)
        writer.file_bytes("d/f", 0o644, 3, 4, 0, b"")
        writer.symlink("d/s", "f", 5, 6, 0)

    unpack(archive(write), form=form, owner_map=owner_map)
    assert asked == [(1, 2), (3, 4), (5, 6)]


@pytest.mark.parametrize("size", [0, 1, 512, 700_000, 3_000_000])
@pytest.mark.parametrize("chunk", [1000, 1 << 19])
def test_content_across_chunks_and_threads(root: Path, form: LayerForm, size: int, chunk: int) -> None:
    content = os.urandom(size)
    data = archive(
        lambda writer: [writer.file_bytes(name, 0o644, 0, 0, 0, content) for name in "abc"] and None
    ) + bytes(1024)  # type: ignore[func-returns-value]
    reported: list[int] = []
    result = apply_layer(
        (data[i : i + chunk] for i in range(0, len(data), chunk)),
        str(root), form=form, owner_map=lambda uid, gid: None, progress=reported.append,
    )  # fmt: skip
    assert result.diff_id.hex == hashlib.sha256(data).hexdigest()
    assert reported[-1] == len(data) == result.size
    assert [(root / name).read_bytes() == content for name in "abc"] == [True] * 3


def test_digest_covers_what_follows_the_end(root: Path) -> None:
    data = file(b"a") + bytes(10240) + b"trailing"
    result = apply_layer([data[:600], data[600:]], str(root), form="plain", owner_map=lambda uid, gid: None)
    assert (result.size, result.diff_id.hex) == (len(data), hashlib.sha256(data).hexdigest())


def test_sparse_files_are_written_sparse(unpack: Unpack, root: Path, form: LayerForm) -> None:
    size = 64 << 20
    numbers = b"0,3,%d,3" % (32 << 20)
    unpack(
        pax(GNU_sparse_size=b"%d" % size, GNU_sparse_map=numbers),
        header(b"s", size=6) + b"abcdef" + bytes(506),
        form=form,
    )
    status = (root / "s").stat()
    assert status.st_size == size
    assert status.st_blocks * 512 < 1 << 20
    with (root / "s").open("rb") as sparse:
        assert sparse.read(4) == b"abc\0"
        sparse.seek(32 << 20)
        assert sparse.read(4) == b"def\0"


@pytest.mark.parametrize("old", [b"0", b"2", b"5", b"6"])
@pytest.mark.parametrize("new", [b"0", b"1", b"2", b"5", b"6"])
def test_later_entries_replace_earlier_ones(
    unpack: Unpack, root: Path, form: LayerForm, old: bytes, new: bytes
) -> None:
    first = header(b"x", kind=old, link=b"t")
    inner = file(b"x/inner") if old == b"5" else b""
    unpack(file(b"t"), first, inner, header(b"x", kind=new, link=b"t", mode=0o600), form=form)
    kinds = {b"0": stat.S_IFREG, b"1": stat.S_IFREG, b"2": stat.S_IFLNK, b"5": stat.S_IFDIR, b"6": stat.S_IFIFO}
    assert stat.S_IFMT((root / "x").lstat().st_mode) == kinds[new]
    assert (root / "x/inner").exists() is (old == new == b"5")
    assert (root / "x").samefile(root / "t") is (new in (b"1", b"2"))


def test_directory_over_a_directory_sets_its_metadata_and_keeps_its_content(unpack: Unpack, root: Path) -> None:
    (root / "d").mkdir(mode=0o700)
    (root / "d/keep").write_text("x")
    os.setxattr(root / "d", "user.old", b"1")
    unpack(pax(**{"SCHILY.xattr.user.new": b"2"}), header(b"d/", kind=b"5", mode=0o711, mtime=9))
    assert tree(root)["d"][0] == "0o40711"
    assert tree(root)["d"][5] == {"user.new": b"2"}
    assert (root / "d").stat().st_mtime == 9
    assert (root / "d/keep").exists()


def test_root_entry_sets_the_root(unpack: Unpack, root: Path, form: LayerForm) -> None:
    unpack(header(b"./", kind=b"5", mode=0o711, mtime=9), file(b"./f"), form=form)
    assert (stat.S_IMODE(root.stat().st_mode), root.stat().st_mtime) == (0o711, 9)


def test_missing_parents_are_made_and_told(unpack: Unpack, root: Path, form: LayerForm) -> None:
    result = unpack(file(b"a/b/c"), directory(b"a"), file(b"x/y"), form=form)
    assert result.implicit == ("a/b", "x")
    assert tree(root)["x"][:4:3] == ("0o40755", 0)


def test_implicit_directories_take_what_is_below(root: Path, unpack: Unpack, tmp_path: Path) -> None:
    top, bottom = tmp_path / "outside/top", tmp_path / "outside/bottom"
    (top / "a").mkdir(parents=True, mode=0o700)
    (bottom / "a/b").mkdir(parents=True)
    (bottom / "a/b").chmod(0o1777)
    os.setxattr(bottom / "a/b", "user.x", b"1")
    os.utime(bottom / "a/b", ns=(3 * NS, 4 * NS))
    (bottom / "a/none").write_text("a file")
    result = unpack(file(b"a/b/c"), file(b"a/none/d"), file(b"z/d"), form="overlay")
    inherit_directories(str(root), result.implicit, [str(top), str(bottom)])
    found = tree(root)
    assert found["a"][0] == "0o40700"
    assert found["a/b"][0] == "0o41777"
    assert found["a/b"][3:6] == (4, None, {"user.x": b"1"})
    assert found["a/none"][0] == found["z"][0] == "0o40755"


def test_implicit_directories_stop_at_opaque_ones(root: Path, unpack: Unpack, tmp_path: Path) -> None:
    top, bottom = tmp_path / "outside/top", tmp_path / "outside/bottom"
    (top / "a").mkdir(parents=True)
    os.setxattr(top / "a", OPAQUE, b"y")
    (bottom / "a/b").mkdir(parents=True, mode=0o700)
    result = unpack(file(b"a/b/c"), form="overlay")
    inherit_directories(str(root), result.implicit, [str(top), str(bottom)])
    assert tree(root)["a/b"][0] == "0o40755"


# Removals in a plain tree.


@pytest.fixture
def lower(root: Path) -> Path:
    """A root with files of layers below."""
    (root / "d/sub").mkdir(parents=True)
    (root / "d/sub/deep").write_text("x")
    (root / "d/file").write_text("x")
    (root / "other").write_text("x")
    return root


def test_plain_whiteouts_remove(unpack: Unpack, lower: Path) -> None:
    unpack(file(b"d/.wh.sub"), file(b".wh.other"), file(b".wh.never"), file(b"no/.wh.parent"))
    assert list(tree(lower)) == ["d", "d/file"]


def test_plain_changes_in_a_directory_that_is_no_entry_leave_its_time(unpack: Unpack, lower: Path) -> None:
    """The layer says nothing about the directory itself: overlay shows it as it is below, too."""
    (lower / "kept").mkdir()
    (lower / "kept/gone").touch()
    for path in (lower / "kept", lower):
        os.utime(path, ns=(10**18, 10**18))
    unpack(file(b"kept/.wh.gone") + file(b"kept/new") + file(b"top"), form="plain")
    assert sorted(path.name for path in (lower / "kept").iterdir()) == ["new"]
    assert (lower / "kept").stat().st_mtime_ns == lower.stat().st_mtime_ns == 10**18


def test_plain_times_of_directories_far_from_any_change(unpack: Unpack, root: Path) -> None:
    """Between the root and a changed directory there is one that nothing looked at before."""
    (root / "far/near").mkdir(parents=True)
    for folder in (root / "far/near", root / "far"):
        os.utime(folder, (5, 5))
    unpack(file(b"beside") + file(b"far/near/new"))
    assert [int((root / folder).stat().st_mtime) for folder in ("far", "far/near")] == [5, 5]


def test_plain_opaque_directory_keeps_its_own(unpack: Unpack, lower: Path) -> None:
    unpack(directory(b"d"), file(b"d/sub/new"), file(b"d/.wh..wh..opq"), file(b"d/zlast"))
    assert list(tree(lower)) == ["d", "d/sub", "d/sub/new", "d/zlast", "other"]


@pytest.mark.parametrize("order", [1, -1])
def test_plain_whiteout_is_about_the_layers_below_in_either_order(unpack: Unpack, lower: Path, order: int) -> None:
    blocks = [file(b".wh.d"), directory(b"d") + file(b"d/mine")][::order]
    unpack(*blocks)
    assert list(tree(lower)) == ["d", "d/mine", "other"]
    blocks = [file(b".wh.other"), file(b"other", b"new")][::order]
    unpack(*blocks)
    assert (lower / "other").read_bytes() == b"new"


# Removals for overlay.


def test_overlay_whiteouts_are_character_devices(unpack: Unpack, root: Path) -> None:
    unpack(file(b"d/.wh.gone"), file(b".wh.top"), form="overlay")
    assert is_whiteout(root / "d/gone")
    assert is_whiteout(root / "top")


@pytest.mark.parametrize("order", [1, -1])
def test_overlay_whiteout_of_a_directory_of_the_same_layer_makes_it_opaque(
    unpack: Unpack, root: Path, order: int
) -> None:
    unpack(*[file(b".wh.d"), directory(b"d") + file(b"d/mine")][::order], form="overlay")
    assert os.getxattr(root / "d", OPAQUE) == b"y"
    assert list(tree(root)) == ["d", "d/mine"]


@pytest.mark.parametrize("order", [1, -1])
def test_overlay_whiteout_of_a_file_of_the_same_layer_is_that_file(unpack: Unpack, root: Path, order: int) -> None:
    unpack(*[file(b".wh.f"), file(b"f", b"mine")][::order], form="overlay")
    assert (root / "f").read_bytes() == b"mine"


def test_overlay_opaque_mark(unpack: Unpack, root: Path) -> None:
    unpack(file(b"d/.wh..wh..opq"), file(b"d/mine"), directory(b"plain"), form="overlay")
    assert os.getxattr(root / "d", OPAQUE) == b"y"
    assert os.listxattr(root / "plain") == []


def test_overlay_parent_under_a_whiteout_is_opaque(unpack: Unpack, root: Path) -> None:
    unpack(file(b".wh.d"), file(b"d/mine"), form="overlay")
    assert os.getxattr(root / "d", OPAQUE) == b"y"
    assert list(tree(root)) == ["d", "d/mine"]


def test_overlay_directory_in_place_of_a_file_hides_what_the_file_hid(unpack: Unpack, root: Path) -> None:
    unpack(file(b"x"), directory(b"x"), form="overlay")
    assert os.getxattr(root / "x", OPAQUE) == b"y"
