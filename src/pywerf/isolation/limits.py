"""Resource limits of build containers: `--ulimit`, `WERF_BUILDAH_ULIMIT`, and what the host allows of them.

Two ways of writing: `type:soft[:hard][,…]` and docker build's `type=soft[:hard]`; units are those of
setrlimit(2).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from pywerf.errors import InvalidValue, IsolationError
from pywerf.isolation.spec import Rlimit
from pywerf.linux import rlimits

__all__ = ["TYPES", "LimitFacts", "check_limits", "limit_facts", "parse_ulimits"]

TYPES = (
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
)
UNLIMITED = -1
MAX_VALUE = (1 << 64) - 2  # the next one is RLIM_INFINITY


class LimitFacts(msgspec.Struct, frozen=True):
    """The process's own limits (soft, hard; -1 unlimited), whether it may raise hard ones, and fs.nr_open."""

    present: Mapping[str, tuple[int, int]]
    may_raise: bool
    max_open_files: int


def parse_ulimits(values: Iterable[str]) -> tuple[Rlimit, ...]:
    """Limits from flags or the variable; each value may hold several, separated by commas.

    Items are counted through all values. Raises InvalidValue for an unknown or repeated type, a value
    that is no number, a soft limit above the hard one, a third number, an empty item.
    """
    limits: list[Rlimit] = []
    first_at: dict[str, int] = {}
    position = 0
    for value in values:
        for item in value.split(","):
            position += 1
            limit = _parse_item(item.strip(), position)
            if limit.type in first_at:
                raise _invalid(item, position, f"{limit.type} is already given by item {first_at[limit.type]}")
            first_at[limit.type] = position
            limits.append(limit)
    return tuple(limits)


def _parse_item(item: str, position: int) -> Rlimit:
    if not item:
        raise _invalid(item, position, "it is empty")
    separator = min((at for at in (item.find(":"), item.find("=")) if at >= 0), default=len(item))
    name, rest = item[:separator].strip(), item[separator + 1 :]
    if name not in TYPES:
        raise _invalid(item, position, f'unknown type "{name}"')
    if separator == len(item) or not rest:
        raise _invalid(item, position, "the limit is missing")
    numbers = rest.split(":")
    if len(numbers) > 2:
        raise _invalid(item, position, "more than a soft and a hard limit")
    soft = _parse_number(numbers[0], item, position)
    hard = _parse_number(numbers[1], item, position) if len(numbers) == 2 else soft
    if hard != UNLIMITED and (soft == UNLIMITED or soft > hard):
        raise _invalid(item, position, "the soft limit is above the hard limit")
    return Rlimit(name, soft, hard)


def _parse_number(text: str, item: str, position: int) -> int:
    text = text.strip()
    if text in ("-1", "unlimited"):
        return UNLIMITED
    if not (text.isascii() and text.isdigit()):
        raise _invalid(item, position, f'"{text}" is neither a non-negative integer, -1 nor unlimited')
    if len(text) > 20 or int(text) > MAX_VALUE:
        raise _invalid(item, position, f"{text} is too large")
    return int(text)


def _invalid(item: str, position: int, reason: str) -> InvalidValue:
    return InvalidValue(
        f'ulimit item {position} "{item}": {reason}',
        hint=f"write type:soft[:hard] or type=soft[:hard], separated by commas; types: {' '.join(TYPES)}",
    )


def limit_facts() -> LimitFacts:
    """The facts of this process. CAP_SYS_RESOURCE counts in the initial user namespace alone."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as status:
        effective = next(int(line.split()[1], 16) for line in status if line.startswith("CapEff:"))
    with open("/proc/self/uid_map", encoding="ascii") as uid_map:
        initial = uid_map.read().split() == ["0", "0", "4294967295"]
    with open("/proc/sys/fs/nr_open", encoding="ascii") as nr_open:
        max_open_files = int(nr_open.read())
    sys_resource = 24
    return LimitFacts(rlimits.current(), initial and bool(effective >> sys_resource & 1), max_open_files)


def check_limits(limits: Iterable[Rlimit], facts: LimitFacts) -> None:
    """Raise IsolationError for the first limit that the kernel would refuse: before the build starts."""
    for limit in limits:
        _, hard = facts.present[limit.type]
        above = hard != UNLIMITED and (limit.hard == UNLIMITED or limit.hard > hard)
        if above and not facts.may_raise:
            raise IsolationError(
                f"ulimit {limit.type}: the hard limit {_show(limit.hard)} is above the present one, {_show(hard)}",
                hint="raising a hard limit needs CAP_SYS_RESOURCE in the initial user namespace; "
                f"use at most {_show(hard)}, or raise it for the process that starts this one",
            )
        if limit.type == "nofile" and (limit.hard == UNLIMITED or limit.hard > facts.max_open_files):
            raise IsolationError(
                f"ulimit nofile: the hard limit {_show(limit.hard)} is above the kernel's {facts.max_open_files}",
                hint="sysctl fs.nr_open is the most that a process may have",
            )


def _show(value: int) -> str:
    return "unlimited" if value == UNLIMITED else str(value)
