"""The seccomp program, run by a small interpreter of classic BPF."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywerf.linux import caps, seccomp
from pywerf.linux.syscall_numbers import ARCHITECTURES, numbers
from support.bpf import simulate

ALLOW, EPERM, ENOSYS, KILL = 0x7FFF0000, 0x00050001, 0x00050026, 0x80000000
DEFAULT = frozenset(caps.DOCKER_DEFAULT)
MACHINES = {"x86_64": "x86_64", "i386": "x86_64", "aarch64": "aarch64", "arm": "aarch64"}


def action(architecture: str, number: int, *arguments: int, capabilities: frozenset[str] = DEFAULT) -> int:
    program = seccomp.compile_default(MACHINES[architecture], capabilities)
    padded = (*arguments, *[0] * (6 - len(arguments)))
    data = struct.pack("<IIQ6Q", number, seccomp.AUDIT_ARCH[architecture], 0, *padded)
    return simulate(program, data)[0]


def named(architecture: str, name: str, *arguments: int, capabilities: frozenset[str] = DEFAULT) -> int:
    return action(architecture, numbers(architecture)[name], *arguments, capabilities=capabilities)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("name", ["read", "openat", "execve", "ptrace", "setxattr", "mknodat", "futex_waitv", "chroot"])
def test_ordinary_calls_are_allowed(architecture: str, name: str) -> None:
    assert named(architecture, name) == ALLOW


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize(
    "name",
    [
        "mount",
        "umount2",
        "unshare",
        "setns",
        "bpf",
        "init_module",
        "delete_module",
        "kexec_load",
        "reboot",
        "swapon",
        "add_key",
        "request_key",
        "keyctl",
        "perf_event_open",
        "open_by_handle_at",
        "pivot_root",
        "io_uring_setup",
        "userfaultfd",
        "settimeofday",
        "open_tree",
        "fsopen",
        "acct",
    ],
)
def test_dangerous_calls_are_denied(architecture: str, name: str) -> None:
    assert named(architecture, name) == EPERM


@pytest.mark.parametrize(
    ("capability", "name"),
    [(capability, name) for capability, names in seccomp.ALLOWED_BY_CAPABILITY.items() for name in names.split()],
)
def test_a_capability_opens_its_calls(capability: str, name: str) -> None:
    for architecture in ARCHITECTURES:
        if name in numbers(architecture):
            assert named(architecture, name, capabilities=DEFAULT | {capability}) == ALLOW
            if name not in ("chroot", "clone"):
                assert named(architecture, name, 0, capabilities=DEFAULT) != ALLOW


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_clone_is_allowed_without_namespaces_only(architecture: str) -> None:
    assert named(architecture, "clone", 0x01200011) == ALLOW  # what fork(2) of a C library asks for
    for bit in (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000):
        assert named(architecture, "clone", bit | 17) == EPERM
    assert named(architecture, "clone3") == ENOSYS
    admin = DEFAULT | {"CAP_SYS_ADMIN"}
    assert named(architecture, "clone", 0x10000000, capabilities=admin) == ALLOW
    assert named(architecture, "clone3", capabilities=admin) == ALLOW


@pytest.mark.parametrize("architecture", ["x86_64", "aarch64", "i386", "arm"])
def test_vsock_is_denied_whatever_the_high_word(architecture: str) -> None:
    assert named(architecture, "socket", 2) == ALLOW
    assert named(architecture, "socket", 40) == EPERM
    assert named(architecture, "socket", 40 | 1 << 32) == EPERM


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_personality_takes_the_harmless_values_only(architecture: str) -> None:
    for value in (0, 8, 0x20000, 0x20008, 0xFFFFFFFF):
        assert named(architecture, "personality", value) == ALLOW
    for value in (0x40000, 1, 1 << 32, 0x20000 | 1 << 40):
        assert named(architecture, "personality", value) == EPERM


def test_x32_calls_are_not_there() -> None:
    for name in ("read", "mount", "ptrace"):
        assert action("x86_64", numbers("x86_64")[name] | 0x40000000) == ENOSYS
    assert action("x86_64", 520) == ENOSYS  # x32's execve without its mark


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
@pytest.mark.parametrize("audit_arch", [0, 0xC0000015, 0x80000016, 0xC00000F3])
def test_a_foreign_architecture_is_killed(machine: str, audit_arch: int) -> None:
    program = seccomp.compile_default(machine, DEFAULT)
    assert simulate(program, struct.pack("<IIQ6Q", 0, audit_arch, 0, *[0] * 6))[0] == KILL


def test_unknown_machine_has_no_program() -> None:
    assert seccomp.compile_default("riscv64", DEFAULT) == b""


@given(
    st.sampled_from(ARCHITECTURES),
    st.integers(0, 2**32 - 1) | st.integers(0, 600),
    st.lists(st.integers(0, 2**64 - 1), min_size=6, max_size=6),
    st.frozensets(st.sampled_from(caps.NAMES)),
)
def test_agrees_with_the_rules_written_out(
    architecture: str, number: int, arguments: list[int], capabilities: frozenset[str]
) -> None:
    names = [name for name, value in numbers(architecture).items() if value == number]
    allowed = set(f"{seccomp.ALLOWED} {seccomp.ALLOWED_BY_ARCHITECTURE[architecture]}".split())
    for capability in capabilities:
        allowed |= set(seccomp.ALLOWED_BY_CAPABILITY.get(capability, "").split())
    expected = ENOSYS
    if names:
        expected = ALLOW if names[0] in allowed else EPERM
        low = arguments[0] & 0xFFFFFFFF
        if names[0] == "socket":
            expected = EPERM if low == 40 else ALLOW
        elif names[0] == "personality":
            expected = ALLOW if arguments[0] in (0, 8, 0x20000, 0x20008, 0xFFFFFFFF) else EPERM
        elif "CAP_SYS_ADMIN" not in capabilities and names[0] == "clone":
            expected = EPERM if low & 0x7E020000 else ALLOW
        elif "CAP_SYS_ADMIN" not in capabilities and names[0] == "clone3":
            expected = ENOSYS
    assert action(architecture, number, *arguments, capabilities=capabilities) == expected


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_no_call_takes_more_than_a_few_instructions(architecture: str) -> None:
    program = seccomp.compile_default(MACHINES[architecture], DEFAULT)
    for number in numbers(architecture).values():
        data = struct.pack("<IIQ6Q", number, seccomp.AUDIT_ARCH[architecture], 0, *[0] * 6)
        assert simulate(program, data)[1] <= 32
    assert len(program) // 8 <= 4096  # BPF_MAXINSNS


def test_capability_rules_name_calls_that_exist() -> None:
    known = set().union(*(numbers(architecture) for architecture in ARCHITECTURES))
    listed = " ".join([seccomp.ALLOWED, *seccomp.ALLOWED_BY_CAPABILITY.values()]).split()
    assert set(listed) <= known
    assert set(seccomp.ALLOWED_BY_CAPABILITY) <= set(caps.NAMES)
