"""Paths stay inside of a root, with openat2(2) and without."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pywerf.linux import openat2

Open = Callable[[int, bytes, int], int]


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    """`in` and links of all kinds, with a file of the same name outside."""
    (tmp_path / "secret").write_text("outside")
    inside = tmp_path / "root"
    (inside / "dir/sub").mkdir(parents=True)
    (inside / "secret").write_text("inside")
    (inside / "dir/file").write_text("file")
    for name, target in {
        "up": "../secret",
        "absolute": "/secret",
        "far": "../../../../../../secret",
        "dir/up": "../../secret",
        "todir": "dir",
        "dots": "dir/sub/../file",
        "chain": "todir/up",
        "loop": "loop",
        "magic": "/proc/self/root",
    }.items():
        (inside / name).symlink_to(target)
    fd = os.open(inside, os.O_PATH | os.O_DIRECTORY)
    yield fd
    os.close(fd)


@pytest.fixture(params=["openat2", "walk"])
def opener(request: pytest.FixtureRequest) -> Open:
    return openat2.open_in_root if request.param == "openat2" else openat2.walk_in_root


def read(fd: int) -> str:
    try:
        return os.read(fd, 100).decode()
    finally:
        os.close(fd)


@pytest.mark.parametrize(
    "path",
    [
        b"up",
        b"absolute",
        b"far",
        b"dir/up",
        b"chain",
        b"../secret",
        b"/secret",
        b"dir/../../secret",
        b"todir/../secret",
    ],
)
def test_nothing_leads_out(root: int, opener: Open, path: bytes) -> None:
    assert read(opener(root, path, os.O_RDONLY)) == "inside"


@pytest.mark.parametrize("path", [b"dir/file", b"todir/file", b"dots", b"./dir/./file", b"dir//file"])
def test_ordinary_paths(root: int, opener: Open, path: bytes) -> None:
    assert read(opener(root, path, os.O_RDONLY)) == "file"


@pytest.mark.parametrize("path", [b"dir", b"todir", b".", b"/", b"..", b"dir/sub/.."])
def test_directories(root: int, opener: Open, path: bytes) -> None:
    os.close(opener(root, path, os.O_PATH | os.O_DIRECTORY))


@pytest.mark.parametrize(
    ("path", "flags", "number"),
    [
        (b"none", os.O_RDONLY, errno.ENOENT),
        (b"none/x", os.O_RDONLY, errno.ENOENT),
        (b"dir/file/x", os.O_RDONLY, errno.ENOTDIR),
        (b"dir/file", os.O_PATH | os.O_DIRECTORY, errno.ENOTDIR),
        (b"loop", os.O_RDONLY, errno.ELOOP),
        (b"loop/x", os.O_RDONLY, errno.ELOOP),
        (b"up", os.O_RDONLY | os.O_NOFOLLOW, errno.ELOOP),
        (b"magic/etc", os.O_RDONLY, errno.ENOENT),
    ],
)
def test_errors_are_those_of_open(root: int, opener: Open, path: bytes, flags: int, number: int) -> None:
    with pytest.raises(OSError) as caught:  # noqa: PT011 - the number is compared below
        os.close(opener(root, path, flags))
    assert caught.value.errno == number


def test_walk_leaves_no_descriptor_open(root: int) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for path in (b"dir/sub", b"chain", b"loop", b"none", b"dir/sub/../../dir/file"):
        try:
            os.close(openat2.walk_in_root(root, path, os.O_RDONLY))
        except OSError:
            pass
    assert len(os.listdir("/proc/self/fd")) == before


def test_without_openat2_the_walk_takes_over(root: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openat2, "_SYS_OPENAT2", 0xFFFF)  # ENOSYS
    monkeypatch.setattr(openat2, "_missing", False)
    assert read(openat2.open_in_root(root, b"chain", os.O_RDONLY)) == "inside"
    assert openat2._missing
