"""Owners in access times, and statuses that show them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywerf.linux import owners

ids = st.integers(0, owners.MAX_ID)


def status_of(mode: int, atime_ns: int) -> os.stat_result:
    times = {"st_atime_ns": atime_ns, "st_mtime_ns": 5, "st_ctime_ns": 6, "st_rdev": 0, "st_blocks": 8}
    return os.stat_result((mode, 2, 3, 1, 0, 0, 4, atime_ns // 10**9, 0, 0), {"st_blksize": 4096, **times})


@given(ids, ids)
def test_a_symlinks_owner_is_its_access_time(uid: int, gid: int) -> None:
    status = status_of(stat.S_IFLNK | 0o777, owners.access_time(uid, gid))
    assert owners.owner_of("nowhere", status) == (uid, gid)
    shown = owners.with_owner(status, uid, gid)
    assert (shown.st_uid, shown.st_gid, shown.st_atime_ns, shown.st_mtime_ns) == (uid, gid, 5, 5)
    assert (shown.st_ino, shown.st_size, shown.st_ctime_ns, shown.st_blocks) == (2, 4, 6, 8)


@given(st.integers(-(10**19), (1 << 32) * 10**9 - 1))
def test_times_until_2106_are_just_times(atime_ns: int) -> None:
    assert owners.owner_of("nowhere", status_of(stat.S_IFIFO, atime_ns)) is None


@given(ids, ids)
def test_every_mark_lies_in_what_file_systems_can_hold(uid: int, gid: int) -> None:
    seconds, nanoseconds = divmod(owners.access_time(uid, gid), 10**9)
    assert 1 << 32 <= seconds < (1 << 34) - (1 << 31)  # ext4's last second, in the year 2446
    assert 0 <= nanoseconds < 10**9


@pytest.mark.parametrize("pair", [(1 << 31, 0), (0, 1 << 31), (-1, 0)])
def test_numbers_beyond_those_of_docker_are_refused(pair: tuple[int, int]) -> None:
    with pytest.raises(OSError, match="Invalid argument"):
        owners.access_time(*pair)


def test_a_file_may_be_shown_as_a_device() -> None:
    device = (stat.S_IFCHR, os.makedev(5, 1))
    shown = owners.with_owner(status_of(stat.S_IFREG | 0o620, 7), 0, 5, device)
    assert shown.st_mode == stat.S_IFCHR | 0o620
    assert (shown.st_rdev, shown.st_gid, shown.st_atime_ns) == (os.makedev(5, 1), 5, 7)


@pytest.mark.skipif(owners.emulated(), reason="these tests run in a user namespace with one id: marks count there")
def test_elsewhere_marks_mean_nothing(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    os.setxattr(file, owners.MARK, b"33:33")
    assert owners.lstat(str(file)) == os.lstat(file)
    assert owners.times(os.lstat(file), 9) == (9, 9)
