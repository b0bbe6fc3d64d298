"""Entries of small files made in one go: what they are, what is left over, and going on after some of them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pywerf.layer.pack import SMALL, Packer
from pywerf.layer.tar_write import TarWriter
from support.trees import collect

FOREVER = 1 << 62
Batch = list[bytes | tuple[bytes, list[bytes]]]
Made = list[tuple[bytes, int, list[tuple[int, int, object]]]]


def packed(root: Path, batch: Batch, done: int = 0, **options: bool) -> Made:
    made: Made = []

    def put(data: bytes, number: int, left: list[tuple[int, int, object]]) -> None:
        made.append((data, number, left))

    here = os.getcwd()
    try:
        Packer(os.fsencode(root) + b"/", FOREVER, **options).pack(batch, put, done)  # type: ignore[arg-type]
    finally:
        os.chdir(here)
    return made


def written(root: Path, names: list[str], **options: bool) -> bytes:
    """The same files as `TarWriter` writes them one by one."""
    chunks: list[bytes] = []
    writer = TarWriter(chunks.append, **options)
    for name in names:
        status = os.stat(root / name)
        xattrs = {key: os.getxattr(root / name, key) for key in os.listxattr(root / name) if key.startswith("user.")}
        with open(root / name, "rb") as file:
            mode, mtime_ns = status.st_mode & 0o7777, status.st_mtime_ns
            writer.file(name, mode, status.st_uid, status.st_gid, mtime_ns, status.st_size, file.fileno(), xattrs)
    writer.flush()
    return b"".join(chunks)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "d").mkdir()
    for number in range(20):
        (tmp_path / "d" / f"f{number:02}").write_bytes(b"x" * (number * 97))
    (tmp_path / "d/f03").chmod(0o4751)
    (tmp_path / "d" / ("n" * 200)).write_text("long name")
    os.utime(tmp_path / "d/f04", ns=(0, -5))
    os.setxattr(tmp_path / "d/f05", "user.colour", b"green")
    return tmp_path


@pytest.mark.parametrize("subsecond", [False, True])
@pytest.mark.parametrize("moving", [False, True])
def test_entries_are_those_that_a_writer_makes(files: Path, moving: bool, subsecond: bool) -> None:
    names = sorted(os.listdir(files / "d"))
    (made,) = packed(files, [(b"d/", [os.fsencode(name) for name in names])], moving=moving, subsecond=subsecond)
    assert made == (written(files, [f"d/{name}" for name in names], subsecond=subsecond), len(names), [])


def test_what_stands_between_stays_there(files: Path) -> None:
    batch: Batch = [b"A" * 512, (b"d/", [b"f01"]), b"B" * 512, b"C" * 512, (b"d/", [b"f02", b"f03"]), b"D" * 512]
    ((data, number, left),) = packed(files, batch)
    assert (number, left) == (3, [])
    one, two = written(files, ["d/f01"]), written(files, ["d/f02", "d/f03"])
    assert data == b"A" * 512 + one + b"B" * 512 + b"C" * 512 + two + b"D" * 512


@pytest.mark.parametrize("done", range(7))
def test_going_on_after_some_files(files: Path, done: int) -> None:
    """What has been handed over ends after a file: the rest begins with what stands between it and the next one."""
    batch: Batch = [
        b"A" * 512,
        (b"d/", [b"f01", b"f02"]),
        b"B" * 512,
        (b"", [b"missing"]),
        (b"d/", [b"f03"]),
        b"C" * 512,
    ]
    batch.append((b"d/", [b"f04", b"f06"]))
    rest = [b"d/f01", b"d/f02", b"B", b"missing", b"d/f03", b"C", b"d/f04", b"d/f06"]
    passed = 0
    while passed < done:
        passed += len(rest.pop(0)) > 1  # headers have a letter here
    expected = b"" if done else b"A" * 512
    gone = []
    for name in rest:
        if name == b"missing":
            gone = [(len(expected), 2, None)]
        else:
            expected += name * 512 if len(name) == 1 else written(files, [os.fsdecode(name)])
    made = packed(files, batch, done)
    assert made == ([(expected, 6, gone)] if rest else [])


def test_large_batches_come_in_pieces(files: Path) -> None:
    names = [f"big{number}" for number in range(7)]
    for name in names:
        (files / name).write_bytes(os.urandom(300_000))
    batch: Batch = [(b"", [name.encode() for name in names])]
    made = packed(files, batch)
    assert [number for _, number, _ in made] == [2, 4, 6, 7]
    assert b"".join(data for data, _, _ in made) == written(files, names)
    for at, (_, number, _) in enumerate(made):
        assert packed(files, batch, number) == made[at + 1 :]


@pytest.mark.parametrize("moving", [False, True])
def test_left_over(files: Path, moving: bool) -> None:
    """What needs the whole walk, and what cannot be read; no reason is given."""
    (files / "d/large").write_bytes(bytes(SMALL + 1))
    (files / "d/mark").touch()
    os.setxattr(files / "d/mark", "user.overlay.whiteout", b"y")
    (files / "d/link").symlink_to("f01")
    os.mkfifo(files / "d/fifo")
    (files / "d/folder").mkdir()
    names = [b"f01", b"large", b"mark", b"link", b"fifo", b"folder", b"missing", b"f02"]
    ((data, number, left),) = packed(files, [(b"d/", names), (b"nowhere/", [b"x"])], moving=moving)
    assert data == written(files, ["d/f01", "d/f02"])
    first = len(written(files, ["d/f01"]))
    assert number == 9
    assert left == [*((first, number, None) for number in range(1, 7)), (len(data), 8, None)]


def test_files_with_several_names_are_told(files: Path) -> None:
    os.setxattr(files / "d/f05", "user.colour", b"green")
    for name in ("f01", "f05"):
        os.link(files / "d" / name, files / "d" / f"z{name}")
    status = os.stat(files / "d/f01")
    names = [b"f01", b"f05", b"f06", b"zf01", b"zf05"]
    ((data, _, left),) = packed(files, [(b"d/", names)])
    assert data == written(files, ["d/f06"])
    known = (status.st_dev, status.st_ino, status.st_mode & 0o7777, status.st_uid, status.st_gid, status.st_mtime_ns)
    assert left[0] == (0, 0, (*known, written(files, ["d/f01"])))
    assert left[1][2][-1] == written(files, ["d/f05"])  # type: ignore[index]
    assert left[2] == (len(data), 3, (*known, b""))  # an earlier name has been seen


def test_marks_of_owners_are_not_in_entries(files: Path) -> None:
    os.setxattr(files / "d/f07", "user.pywerf.owner", b"3:4")
    ((data, _, left),) = packed(files, [(b"d/", [b"f07"])])
    info = collect(data + bytes(1024))["d/f07"]
    assert left == []
    assert info.pax_headers == {}
