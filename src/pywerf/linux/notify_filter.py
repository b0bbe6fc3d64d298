"""Which system calls a supervisor is asked about, as a BPF program of our own making (seccomp(2)). Pure.

It stands beside the filter that forbids calls (`linux.seccomp`): of two answers the kernel takes the stricter one,
and ERRNO is stricter than USER_NOTIF. Programs of other ABIs (32-bit ones) are not asked about.
"""

from __future__ import annotations

from functools import cache

from pywerf.linux.seccomp import (
    ALLOW,
    ARCH_AT,
    AUDIT_ARCH,
    JEQ,
    JGE,
    JSET,
    LD_W_ABS,
    NUMBER_AT,
    RET,
    X32_BIT,
    Instruction,
    encode,
)
from pywerf.linux.seccomp import assemble as assemble_with_default
from pywerf.linux.syscall_numbers import numbers

__all__ = ["ALL", "ALWAYS_DEVICES", "DEVICES", "SUPPORTED", "compile_filter", "compile_with_default"]

SUPPORTED = ("x86_64", "aarch64")

USER_NOTIF = 0x7FC00000
ARGUMENTS_AT = 16
_FORMAT, _CHAR, _BLOCK = 0o170000, 0o020000, 0o060000
_CREATES = 0o100 | 0o20000000  # O_CREAT, __O_TMPFILE
_SET_TIMERSLACK = 29

# Of these the calls that make devices only; a change of root makes paths mean something else.
ALWAYS_DEVICES = ("chroot",)
DEVICES = ("mknod", "mknodat")
# All that has to do with who owns what, the most frequent first.
ALL = (
    *("newfstatat", "fstat", "stat", "lstat", "statx"),
    *("getuid", "geteuid", "getgid", "getegid", "getresuid", "getresgid", "getgroups"),
    *("execve", "execveat", "fchown", "fchownat", "chown", "lchown", "utimensat"),
    *("mkdir", "mkdirat", "symlink", "symlinkat", "mknod", "mknodat", "creat", "openat2"),
    *("setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setfsuid", "setfsgid", "setgroups"),
    *("listxattr", "llistxattr", "flistxattr", "chroot"),
)
# Calls that are asked about for some arguments alone: (call, argument, bits of it).
_CREATING = (("openat", 2), ("open", 1))


def _when_bits(number: int, argument: int, bits: int) -> list[Instruction]:
    """With the call's number in the accumulator: ask when the low word of an argument has one of the bits."""
    return [
        (JEQ, 0, 4, number),
        (LD_W_ABS, 0, 0, ARGUMENTS_AT + 8 * argument),
        (JSET, 0, 1, bits),
        (RET, 0, 0, USER_NOTIF),
        (RET, 0, 0, ALLOW),
    ]


def _when_device(argument: int) -> list[Instruction]:
    """Ask when an argument is the mode of a device: character devices have 2, block devices 6 in the highest digit."""
    return [
        (LD_W_ABS, 0, 0, ARGUMENTS_AT + 8 * argument),
        (0x54, 0, 0, _FORMAT),  # BPF_ALU | BPF_AND | BPF_K
        (JEQ, 1, 0, _CHAR),
        (JEQ, 0, 1, _BLOCK),
        (RET, 0, 0, USER_NOTIF),
        (RET, 0, 0, ALLOW),
    ]


def _when_equal(number: int, argument: int, value: int) -> list[Instruction]:
    return [
        (JEQ, 0, 4, number),
        (LD_W_ABS, 0, 0, ARGUMENTS_AT + 8 * argument),
        (JEQ, 0, 1, value),
        (RET, 0, 0, USER_NOTIF),
        (RET, 0, 0, ALLOW),
    ]


def assemble(machine: str, *, everything: bool) -> list[Instruction]:
    """The program: `everything` about owners, or devices alone."""
    table = numbers(machine)
    program: list[Instruction] = [
        (LD_W_ABS, 0, 0, ARCH_AT),
        (JEQ, 1, 0, AUDIT_ARCH[machine]),
        (RET, 0, 0, ALLOW),
        (LD_W_ABS, 0, 0, NUMBER_AT),
    ]
    if machine == "x86_64":
        program += [(JGE, 0, 1, X32_BIT), (RET, 0, 0, ALLOW)]
    if everything:
        for name in ALL:
            if name in table:
                program += [(JEQ, 0, 1, table[name]), (RET, 0, 0, USER_NOTIF)]
        for name, argument in _CREATING:
            if name in table:
                program += _when_bits(table[name], argument, _CREATES)
        program += _when_equal(table["prctl"], 0, _SET_TIMERSLACK)
    else:
        for position, name in enumerate(DEVICES):
            if name in table:
                block = _when_device(1 + position)
                program += [(JEQ, 0, len(block), table[name]), *block]
        for name in ALWAYS_DEVICES:
            program += [(JEQ, 0, 1, table[name]), (RET, 0, 0, USER_NOTIF)]
    return [*program, (RET, 0, 0, ALLOW)]


@cache
def compile_with_default(machine: str, capabilities: frozenset[str]) -> bytes:
    """Docker's default profile (`seccomp.compile_default`) that asks about devices, for who installs one filter only.

    Empty for a machine that is not in SUPPORTED.
    """
    if machine not in SUPPORTED:
        return b""
    asked = {name: _when_device(1 + position) for position, name in enumerate(DEVICES)}
    asked |= {name: [(RET, 0, 0, USER_NOTIF)] for name in ALWAYS_DEVICES}
    return encode(assemble_with_default(machine, capabilities, asked))


@cache
def compile_filter(machine: str, *, everything: bool) -> bytes:
    """The program as struct sock_filter[]; empty for a machine that is not in SUPPORTED."""
    return encode(assemble(machine, everything=everything)) if machine in SUPPORTED else b""
