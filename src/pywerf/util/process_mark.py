"""A text that names a process for good: whoever finds it later can tell whether that process still lives."""

from __future__ import annotations

import os

__all__ = ["is_gone", "process_mark"]


def process_mark() -> str:
    """The mark of this process: the machine's boot, the process's number, and when it began (proc(5))."""
    return f"{_boot()}/{os.getpid()}/{_began(os.getpid())}"


def is_gone(mark: str) -> bool | None:
    """Whether the process of a mark has ended; None: it is of another machine, or of an earlier boot of this one."""
    boot, _, rest = mark.partition("/")
    number, _, began = rest.partition("/")
    if not boot or boot != _boot() or not number.isdecimal():
        return None
    return _began(int(number)) != began


def _boot() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def _began(number: int) -> str:
    """Field 22 of /proc/PID/stat, which comes after a name that may hold anything; empty when it is gone."""
    try:
        with open(f"/proc/{number}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[19].decode()
    except (OSError, IndexError):
        return ""
