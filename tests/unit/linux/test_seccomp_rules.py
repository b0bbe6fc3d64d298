"""Profiles of the user's as programs: each is run, and compared with what the profile says in words."""

from __future__ import annotations

import struct
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywerf.errors import IsolationError
from pywerf.linux import seccomp
from pywerf.linux.seccomp_profile import ArchMap, Argument, Operator, Rule, SeccompProfile
from pywerf.linux.seccomp_rules import compile_profile, filter_flags
from pywerf.linux.syscall_numbers import numbers
from support.bpf import simulate

ALLOW, EPERM, ENOSYS, KILL = 0x7FFF0000, 0x00050001, 0x00050026, 0x80000000


def run(profile: SeccompProfile, name: str | int, *arguments: int, abi: str = "x86_64", machine: str = "x86_64") -> int:
    program = compile_profile(profile, machine, frozenset(), "6.1.0")
    number = numbers(abi)[name] if isinstance(name, str) else name
    padded = (*arguments, *[0] * (6 - len(arguments)))
    return simulate(program, struct.pack("<IIQ6Q", number, seccomp.AUDIT_ARCH[abi], 0, *padded))[0]


def profile(*rules: Rule, default: Any = "SCMP_ACT_ERRNO", **fields: Any) -> SeccompProfile:
    return SeccompProfile(default_action=default, syscalls=rules, **fields)


def test_a_list_of_allowed_calls() -> None:
    made = profile(Rule("SCMP_ACT_ALLOW", ("read", "write", "no_such_call")))
    assert run(made, "read") == ALLOW
    assert run(made, "openat") == ENOSYS  # newer than all that the profile names: a library does without
    assert run(profile(Rule("SCMP_ACT_ALLOW", ("read", "pidfd_open"))), "openat") == EPERM
    assert run(made, 5000) == ENOSYS


def test_a_list_of_denied_calls() -> None:
    made = profile(Rule("SCMP_ACT_ERRNO", ("mkdir",), errno_ret=13), default="SCMP_ACT_ALLOW")
    assert run(made, "mkdir") == 0x00050000 | 13
    assert run(made, "read") == ALLOW
    assert run(made, 5000) == ALLOW


@pytest.mark.parametrize(
    ("action", "value"),
    [
        ("SCMP_ACT_KILL", 0),
        ("SCMP_ACT_KILL_THREAD", 0),
        ("SCMP_ACT_KILL_PROCESS", 0x80000000),
        ("SCMP_ACT_TRAP", 0x00030000),
        ("SCMP_ACT_ERRNO", EPERM),
        ("SCMP_ACT_TRACE", 0x7FF00001),
        ("SCMP_ACT_LOG", 0x7FFC0000),
    ],
)
def test_actions(action: Any, value: int) -> None:
    assert run(profile(Rule(action, ("mkdir",)), default="SCMP_ACT_ALLOW"), "mkdir") == value


def test_errno_by_name_as_podman_writes_it() -> None:
    made = profile(Rule("SCMP_ACT_ERRNO", ("mkdir",), errno="EACCES"), default_errno="ENOSYS")
    assert run(made, "mkdir") == 0x00050000 | 13
    assert run(profile(Rule("SCMP_ACT_ALLOW", ("pidfd_open",)), default_errno="ENOTSUP"), "read") == 0x00050000 | 95


def test_the_machines_other_abi_only_where_the_profile_has_it() -> None:
    rule = Rule("SCMP_ACT_ALLOW", ("read",))
    assert run(profile(rule), "read", abi="i386") == KILL
    assert run(profile(rule, architectures=("SCMP_ARCH_X86_64", "SCMP_ARCH_X86")), "read", abi="i386") == ALLOW
    mapped = (ArchMap("SCMP_ARCH_AARCH64", ("SCMP_ARCH_ARM",)), ArchMap("SCMP_ARCH_X86_64", ("SCMP_ARCH_X86",)))
    assert run(profile(rule, arch_map=mapped), "read", abi="i386") == ALLOW
    assert run(profile(rule, arch_map=mapped), "read", abi="arm", machine="aarch64") == ALLOW


def test_conditions_of_one_rule_hold_together_unless_they_are_about_one_argument() -> None:
    together = Rule("SCMP_ACT_ALLOW", ("socket",), args=(Argument(0, 1, "SCMP_CMP_EQ"), Argument(1, 2, "SCMP_CMP_EQ")))
    assert [run(profile(together), "socket", *args) for args in ((1, 2), (1, 3), (2, 2))] == [ALLOW, EPERM, EPERM]
    either = Rule("SCMP_ACT_ALLOW", ("socket",), args=(Argument(0, 1, "SCMP_CMP_EQ"), Argument(0, 2, "SCMP_CMP_EQ")))
    assert [run(profile(either), "socket", first) for first in (1, 2, 3)] == [ALLOW, ALLOW, EPERM]


def test_rules_with_conditions_come_before_the_one_without() -> None:
    made = profile(
        Rule("SCMP_ACT_ALLOW", ("socket",)),
        Rule("SCMP_ACT_ERRNO", ("socket",), args=(Argument(0, 40, "SCMP_CMP_EQ"),), errno_ret=97),
    )
    assert run(made, "socket", 40) == 0x00050000 | 97
    assert run(made, "socket", 1) == ALLOW


HOLDS = {
    "SCMP_CMP_NE": lambda given, value, two: given != value,
    "SCMP_CMP_LT": lambda given, value, two: given < value,
    "SCMP_CMP_LE": lambda given, value, two: given <= value,
    "SCMP_CMP_EQ": lambda given, value, two: given == value,
    "SCMP_CMP_GE": lambda given, value, two: given >= value,
    "SCMP_CMP_GT": lambda given, value, two: given > value,
    "SCMP_CMP_MASKED_EQ": lambda given, value, two: given & value == two,
}
WORDS = st.one_of(
    st.integers(0, (1 << 64) - 1),
    st.builds(lambda high, low: high << 32 | low, st.integers(0, 2), st.integers(0, 2)),
)
ARGUMENTS = st.builds(Argument, st.integers(0, 5), WORDS, st.sampled_from(get_args(Operator)), WORDS)


@given(
    st.lists(ARGUMENTS, min_size=1, max_size=4, unique_by=lambda one: one.index),
    st.lists(WORDS, min_size=6, max_size=6),
)
def test_comparisons_of_64_bits(conditions: list[Argument], given_: list[int]) -> None:
    made = profile(Rule("SCMP_ACT_ALLOW", ("read",), args=tuple(conditions)))
    holds = all(HOLDS[one.op](given_[one.index], one.value, one.value_two) for one in conditions)
    assert run(made, "read", *given_) == (ALLOW if holds else EPERM)


def test_flags() -> None:
    assert filter_flags(profile(flags=("SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"))) == 6
    with pytest.raises(IsolationError, match="SECCOMP_FILTER_FLAG_NEW_LISTENER"):
        filter_flags(profile(flags=("SECCOMP_FILTER_FLAG_NEW_LISTENER",)))


def test_what_cannot_be_compiled_is_refused() -> None:
    with pytest.raises(IsolationError, match="riscv64"):
        compile_profile(profile(), "riscv64", frozenset(), "6.1")
    rule = Rule("SCMP_ACT_ALLOW", ("read",), args=tuple(Argument(0, value, "SCMP_CMP_EQ") for value in range(900)))
    with pytest.raises(IsolationError, match="instructions"):
        compile_profile(profile(rule), "x86_64", frozenset(), "6.1")
