"""The resource limits of Linux (getrlimit(2)): names, numbers, and what the process has now."""

from __future__ import annotations

__all__ = ["NUMBERS", "current"]

# asm-generic/resource.h, which x86 and arm share; names as ulimit of docker and podman have them.
NUMBERS = {
    "cpu": 0,
    "fsize": 1,
    "data": 2,
    "stack": 3,
    "core": 4,
    "rss": 5,
    "nproc": 6,
    "nofile": 7,
    "memlock": 8,
    "as": 9,
    "locks": 10,
    "sigpending": 11,
    "msgqueue": 12,
    "nice": 13,
    "rtprio": 14,
    "rttime": 15,
}


def current() -> dict[str, tuple[int, int]]:
    """The process's own (soft, hard) limits by name; -1 is unlimited."""
    from resource import getrlimit

    return {name: getrlimit(number) for name, number in NUMBERS.items()}
