"""What stat(2) and statx(2) write, against what this machine's kernel writes."""

from __future__ import annotations

import ctypes
import os
import stat
import struct
from pathlib import Path

import pytest

from pywerf.linux import notify
from pywerf.linux.stat_format import pack_stat, patch_statx

STATX_BASIC = 0x7FF


def test_the_formats_have_the_kernels_sizes(tmp_path: Path) -> None:
    status = os.stat(tmp_path)
    assert len(pack_stat("x86_64", status)) == 144
    assert len(pack_stat("aarch64", status)) == 128


@pytest.mark.parametrize("path", ["/dev/null", "/etc/passwd", "/usr", "/proc/self/exe"])
def test_a_status_is_what_the_kernel_writes(path: str) -> None:
    machine = os.uname().machine
    numbers = {"x86_64": 4, "aarch64": 79}
    assert machine in numbers
    buffer = ctypes.create_string_buffer(144)
    libc = ctypes.CDLL(None)
    if machine == "x86_64":
        assert libc.syscall(ctypes.c_long(4), path.encode(), buffer) == 0
    else:
        assert libc.syscall(ctypes.c_long(79), -100, path.encode(), buffer, 0) == 0
    ours = pack_stat(machine, os.stat(path))
    assert ours == buffer.raw[: len(ours)]


def test_a_status_in_the_new_form_is_changed_where_owners_are(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    real = os.stat(file)
    data = notify.statx(os.fsencode(file), 0, STATX_BASIC)
    assert patch_statx(bytearray(data), real) == data
    other = os.stat_result(
        (stat.S_IFBLK | 0o600, real.st_ino, real.st_dev, 1, 12, 34, real.st_size, 0, 0, 0),
        {"st_rdev": os.makedev(8, 17), "st_atime_ns": 1_000_000_002},
    )
    changed = patch_statx(bytearray(data), other)
    assert struct.unpack_from("=IIH", changed, 20) == (12, 34, stat.S_IFBLK | 0o600)
    assert struct.unpack_from("=II", changed, 128) == (8, 17)
    assert struct.unpack_from("=qI", changed, 64) == (1, 2)
    assert changed[32:64] == data[32:64]
