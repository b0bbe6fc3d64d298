"""What stat(2) and statx(2) write into memory, by machine (asm/stat.h, linux/stat.h). Pure."""

from __future__ import annotations

import os
import struct

__all__ = ["pack_stat", "patch_statx"]

# dev ino nlink mode uid gid - rdev size blksize blocks, times, unused
_X86_64 = struct.Struct("=QQQIIIIQqqqqqqqqq24x")
# dev ino mode nlink uid gid rdev - size blksize - blocks, times, unused
_GENERIC = struct.Struct("=QQIIIIQQqiiqqqqqqq8x")
_BILLION = 10**9

# struct statx: stx_uid and stx_gid, stx_mode, stx_rdev_major and _minor
_UID_AT, _MODE_AT, _RDEV_AT, _ATIME_AT = 20, 28, 128, 64


def pack_stat(machine: str, status: os.stat_result) -> bytes:
    """The machine's struct stat."""
    times: list[int] = []
    for time_ns in (status.st_atime_ns, status.st_mtime_ns, status.st_ctime_ns):
        times += divmod(time_ns, _BILLION)
    s = status
    if machine == "x86_64":
        head = (s.st_dev, s.st_ino, s.st_nlink, s.st_mode, s.st_uid, s.st_gid, 0, s.st_rdev, s.st_size)
        return _X86_64.pack(*head, s.st_blksize, s.st_blocks, *times)
    head = (s.st_dev, s.st_ino, s.st_mode, s.st_nlink, s.st_uid, s.st_gid, s.st_rdev, 0, s.st_size)
    return _GENERIC.pack(*head, s.st_blksize, 0, s.st_blocks, *times)


def patch_statx(data: bytearray, status: os.stat_result) -> bytearray:
    """The kernel's struct statx with the owner, mode and device number of `status`, and its access time."""
    struct.pack_into("=II", data, _UID_AT, status.st_uid, status.st_gid)
    struct.pack_into("=H", data, _MODE_AT, status.st_mode)
    struct.pack_into("=II", data, _RDEV_AT, os.major(status.st_rdev), os.minor(status.st_rdev))
    struct.pack_into("=qI", data, _ATIME_AT, *divmod(status.st_atime_ns, _BILLION))
    return data
