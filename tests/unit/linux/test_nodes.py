"""Devices that a supervisor makes: numbers and paths."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywerf.linux.nodes import decode_device
from pywerf.linux.task import read_credentials, split


@given(st.integers(0, 0xFFF), st.integers(0, 0xFFFFF))
def test_device_numbers_are_those_of_the_c_library(major: int, minor: int) -> None:
    assert decode_device(os.makedev(major, minor) & 0xFFFFFFFF) == (major, minor)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (b"x", (b"", b"x")),
        (b"/x", (b"/", b"x")),
        (b"a/b/c", (b"a/b", b"c")),
        (b"/a/b/", (b"/a", b"b")),
        (b"/", (b"/", b"")),
        (b"../..", (b"..", b"..")),
    ],
)
def test_paths_are_split_into_folder_and_name(path: bytes, expected: tuple[bytes, bytes]) -> None:
    assert split(path) == expected


def test_credentials_are_read_from_proc() -> None:
    with open("/proc/self/status", "rb") as file:
        found = read_credentials(file.read())
    umask = os.umask(0o22)
    os.umask(umask)
    assert (found.umask, found.uid, found.gid) == (umask, os.geteuid(), os.getegid())
    status = b"Name:\tx: y\nUmask:\t0077\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nCapEff:\t0000000008000000\n"
    found = read_credentials(status)
    assert (found.umask, found.uid, found.gid, found.effective) == (0o77, 4, 8, 1 << 27)
