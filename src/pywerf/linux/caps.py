"""Capabilities (capabilities(7)): names, Docker's default set, and what --cap-add and --cap-drop make of it."""

from __future__ import annotations

from collections.abc import Iterable

from pywerf.errors import InvalidValue

__all__ = ["ALL", "DOCKER_DEFAULT", "NAMES", "bounding", "effective", "mask", "names", "normalize", "select"]

# In the order of their numbers in linux/capability.h.
NAMES = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
)

# What a container has when nothing is said (Docker Engine, "Runtime privilege and Linux capabilities").
DOCKER_DEFAULT = (
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
)

ALL = "ALL"


def normalize(name: str) -> str:
    """`CAP_CHOWN` from `chown`, `CHOWN`, `cap_chown`; `ALL` stays. Raises InvalidValue for an unknown name."""
    upper = name.strip().upper()
    if upper == ALL:
        return ALL
    full = upper if upper.startswith("CAP_") else f"CAP_{upper}"
    if full not in NAMES:
        from difflib import get_close_matches

        near = get_close_matches(full, NAMES, n=1)
        raise InvalidValue(
            f'unknown capability "{name}"',
            hint=f"did you mean {near[0]}?" if near else "capabilities(7) lists the names, and ALL means every one",
        )
    return full


def select(add: Iterable[str] = (), drop: Iterable[str] = (), base: Iterable[str] = DOCKER_DEFAULT) -> tuple[str, ...]:
    """The set that `--cap-add` and `--cap-drop` make of `base`, sorted, as Docker combines them.

    `--cap-add ALL` gives all but those dropped by name; `--cap-drop ALL` takes all but those added by
    name. Raises InvalidValue for an unknown name, and for one that is both added and dropped.
    """
    added, dropped = {normalize(name) for name in add}, {normalize(name) for name in drop}
    both = sorted((added & dropped) - {ALL})
    if both:
        raise InvalidValue(f"capability {both[0]} is both added and dropped", hint="leave one of the two flags out")
    if ALL in added:
        chosen = set(NAMES) if ALL not in dropped else set()
    elif ALL in dropped:
        chosen = set()
    else:
        chosen = set(base)
    return tuple(sorted((chosen | added - {ALL}) - dropped))


def mask(capabilities: Iterable[str]) -> int:
    """The bit mask of full names, as capset(2) and /proc/PID/status have it."""
    value = 0
    for name in capabilities:
        value |= 1 << NAMES.index(name)
    return value


def names(value: int) -> tuple[str, ...]:
    """The names in a bit mask, sorted; bits that have no name here are left out."""
    return tuple(sorted(name for number, name in enumerate(NAMES) if value >> number & 1))


def effective() -> frozenset[str]:
    """What this process may do now (proc(5), CapEff of /proc/self/status)."""
    return _own("CapEff")


def bounding() -> frozenset[str]:
    """What this process may give away (proc(5), CapBnd of /proc/self/status)."""
    return _own("CapBnd")


def _own(title: str) -> frozenset[str]:
    with open("/proc/self/status", encoding="ascii", errors="replace") as status:
        lines = dict(line.split(":", 1) for line in status if ":" in line)
    return frozenset(names(int(lines[title], 16)))
