"""Which calls a supervisor is asked about: the program, run by a small interpreter of classic BPF."""

from __future__ import annotations

import stat
import struct

import pytest

from pywerf.linux import caps
from pywerf.linux.notify_filter import ALL, SUPPORTED, compile_filter, compile_with_default
from pywerf.linux.seccomp import AUDIT_ARCH, compile_default
from pywerf.linux.syscall_numbers import numbers
from support.bpf import simulate

ASK, ALLOW = 0x7FC00000, 0x7FFF0000


def action(machine: str, number: int, *arguments: int, everything: bool, arch: str = "") -> int:
    padded = (*arguments, *[0] * (6 - len(arguments)))
    data = struct.pack("<IIQ6Q", number, AUDIT_ARCH[arch or machine], 0, *padded)
    return simulate(compile_filter(machine, everything=everything), data)[0]


@pytest.mark.parametrize("machine", SUPPORTED)
@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (stat.S_IFCHR | 0o666, ASK),
        (stat.S_IFBLK, ASK),
        (stat.S_IFIFO | 0o600, ALLOW),
        (stat.S_IFREG | 0o644, ALLOW),
        (stat.S_IFSOCK, ALLOW),
        (0o600, ALLOW),
    ],
)
def test_devices_alone_are_asked_about(machine: str, mode: int, expected: int) -> None:
    table = numbers(machine)
    if "mknod" in table:
        assert action(machine, table["mknod"], 1, mode, everything=False) == expected
    assert action(machine, table["mknodat"], 3, 1, mode, everything=False) == expected


@pytest.mark.parametrize("machine", SUPPORTED)
@pytest.mark.parametrize("name", ["fchownat", "openat", "setuid", "statx", "read", "execve", "prctl"])
def test_nothing_else_is_asked_about_where_ids_are_mapped(machine: str, name: str) -> None:
    assert action(machine, numbers(machine)[name], 29, 0xFFFFFFFF, 0xFFFFFFFF, everything=False) == ALLOW


@pytest.mark.parametrize("machine", SUPPORTED)
def test_all_that_concerns_owners_is_asked_about_where_there_is_one_id(machine: str) -> None:
    table = numbers(machine)
    for name in ALL:
        if name in table:
            assert action(machine, table[name], everything=True) == ASK, name
    for name in ("read", "write", "mmap", "futex", "clone", "unlinkat", "fchmod", "prctl", "openat"):
        assert action(machine, table[name], everything=True) == ALLOW, name


@pytest.mark.parametrize("machine", SUPPORTED)
@pytest.mark.parametrize(("flags", "expected"), [(0o100, ASK), (0o1101, ASK), (0o20200002, ASK), (0o2000000, ALLOW)])
def test_opening_is_asked_about_when_it_may_make_a_file(machine: str, flags: int, expected: int) -> None:
    assert action(machine, numbers(machine)["openat"], 3, 4, flags, everything=True) == expected


def test_timer_slack_is_kept_from_processes() -> None:
    number = numbers("x86_64")["prctl"]
    assert action("x86_64", number, 29, everything=True) == ASK
    assert action("x86_64", number, 30, everything=True) == ALLOW


def test_other_abis_are_left_alone() -> None:
    mknod = numbers("x86_64")["mknod"]
    assert action("x86_64", mknod, 1, stat.S_IFCHR, everything=False, arch="i386") == ALLOW
    assert action("x86_64", mknod | 0x40000000, 1, stat.S_IFCHR, everything=False) == ALLOW


def test_an_unknown_machine_has_no_program() -> None:
    assert compile_filter("riscv64", everything=True) == b""


@pytest.mark.parametrize("machine", SUPPORTED)
def test_with_the_default_profile_devices_are_asked_about_and_all_else_is_as_it_says(machine: str) -> None:
    capabilities = frozenset(caps.DOCKER_DEFAULT)
    both, alone = compile_with_default(machine, capabilities), compile_default(machine, capabilities)
    table = numbers(machine)

    def data(number: int, *arguments: int, abi: str = machine) -> bytes:
        return struct.pack("<IIQ6Q", number, AUDIT_ARCH[abi], 0, *arguments, *[0] * (6 - len(arguments)))

    assert simulate(both, data(table["mknodat"], 3, 1, stat.S_IFBLK | 0o600))[0] == ASK
    assert simulate(both, data(table["mknodat"], 3, 1, stat.S_IFIFO | 0o600))[0] == ALLOW
    assert simulate(both, data(table["chroot"], 1))[0] == ASK
    for name in set(table) - {"chroot"}:
        assert simulate(both, data(table[name]))[0] == simulate(alone, data(table[name]))[0], name
    other = {"x86_64": "i386", "aarch64": "arm"}[machine]
    mknod = numbers(other)["mknod"]
    assert simulate(both, data(mknod, 1, stat.S_IFCHR, abi=other))[0] == ALLOW
    forbidden = compile_with_default(machine, frozenset())
    assert simulate(forbidden, data(table["chroot"], 1))[0] == simulate(alone, data(table["mount"]))[0]
    assert compile_with_default("riscv64", capabilities) == b""
