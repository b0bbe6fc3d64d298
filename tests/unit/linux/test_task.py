"""Memory and places of another process: here of this one."""

from __future__ import annotations

import ctypes
import os

import pytest

from pywerf.linux.notify import Memory
from pywerf.linux.task import AT_FDCWD, Tasks


def test_memory_is_read_and_written_up_to_where_it_ends() -> None:
    memory = Memory()
    text = b"a/long/path/" * 40
    there = ctypes.create_string_buffer(text, 6000)
    at = ctypes.addressof(there)
    assert memory.string(os.getpid(), at) == text
    memory.write(os.getpid(), at + 2, b"LONG\0")
    assert memory.string(os.getpid(), at) == b"a/LONG"
    memory.write_all(os.getpid(), at, b"x" * 5999)
    assert memory.read_all(os.getpid(), at, 6000) == b"x" * 5999 + b"\0"
    with pytest.raises(OSError, match="too long"):
        memory.string(os.getpid(), at)
    with pytest.raises(OSError, match="Bad address"):
        memory.string(os.getpid(), 0)


@pytest.mark.parametrize(
    ("dirfd", "path", "place"),
    [
        (AT_FDCWD, b"/etc/passwd", b"/etc/passwd"),
        (AT_FDCWD, b"x/../y", b"7/cwd/x/../y"),
        (-100 & 0xFFFFFFFFFFFFFFFF, b"x", b"7/cwd/x"),
        (5, b"x", b"7/fd/5/x"),
        (5, b"", b"7/fd/5"),
        (5, b"/proc/self/fd/3", b"7/fd/3"),
        (5, b"/proc/selfish", b"/proc/selfish"),
    ],
)
def test_a_path_of_the_process_begins_in_its_own_folders(dirfd: int, path: bytes, place: bytes) -> None:
    assert Tasks().place(7, dirfd, path) == (place, True)
