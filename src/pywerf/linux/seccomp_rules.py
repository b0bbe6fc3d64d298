"""A seccomp profile of the user's as a BPF program (seccomp(2)): arguments are compared as libseccomp compares them.

Of one call's rules those with conditions are tried in their order, then the one without; what no rule names has the
profile's default. As runc does it, calls that are newer than all that the profile names are answered with ENOSYS
when the default denies, since that is what tells a library to do without.
"""

from __future__ import annotations

from pywerf.errors import IsolationError
from pywerf.linux.seccomp import (
    ALLOW,
    ARCH_AT,
    AUDIT_ARCH,
    ENOSYS,
    ERRNO,
    JEQ,
    JGE,
    JMP_JA,
    KILL_PROCESS,
    LD_W_ABS,
    NUMBER_AT,
    RET,
    SUPPORTED,
    X32_BIT,
    Instruction,
    encode,
    return_action,
    search,
    to_ranges,
)
from pywerf.linux.seccomp_profile import Argument, Rule, SeccompProfile, errno_of, rules_for
from pywerf.linux.syscall_numbers import numbers

__all__ = ["compile_profile", "filter_flags"]

# linux/bpf_common.h, linux/seccomp.h
JGT, AND = 0x25, 0x54
ACTIONS = {
    "SCMP_ACT_KILL": 0x00000000,
    "SCMP_ACT_KILL_THREAD": 0x00000000,
    "SCMP_ACT_KILL_PROCESS": KILL_PROCESS,
    "SCMP_ACT_TRAP": 0x00030000,
    "SCMP_ACT_ERRNO": ERRNO,
    "SCMP_ACT_TRACE": 0x7FF00000,
    "SCMP_ACT_LOG": 0x7FFC0000,
    "SCMP_ACT_ALLOW": ALLOW,
}
PERMISSIVE = ("SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRACE")
# libseccomp's name of each ABI, and Go's name of each machine.
ABI_NAMES = {
    "x86_64": "SCMP_ARCH_X86_64",
    "i386": "SCMP_ARCH_X86",
    "aarch64": "SCMP_ARCH_AARCH64",
    "arm": "SCMP_ARCH_ARM",
}
GO_NAMES = {"x86_64": "amd64", "aarch64": "arm64"}
FLAGS = {
    "SECCOMP_FILTER_FLAG_TSYNC": 1,
    "SECCOMP_FILTER_FLAG_LOG": 2,
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW": 4,
}
ARGUMENTS_AT, WORD = 16, 0xFFFFFFFF
MAX_INSTRUCTIONS = 4096  # BPF_MAXINSNS


def filter_flags(profile: SeccompProfile) -> int:
    """The flags of seccomp(2) that a profile asks for. Raises IsolationError for one that is not known here."""
    value = 0
    for flag in profile.flags or ():
        if flag not in FLAGS:
            raise IsolationError(f"the seccomp profile asks for {flag}", hint=f"known are {', '.join(FLAGS)}")
        value |= FLAGS[flag]
    return value


def compile_profile(profile: SeccompProfile, architecture: str, capabilities: frozenset[str], kernel: str) -> bytes:
    """The profile for a machine (uname's), a capability set and a kernel's release, as struct sock_filter[].

    Raises IsolationError for a machine whose table of calls is not known here, and for a program that no kernel takes.
    """
    if architecture not in SUPPORTED:
        raise IsolationError(
            f"a seccomp profile cannot be used on {architecture}", hint="--security-opt seccomp=unconfined does without"
        )
    rules = rules_for(profile, GO_NAMES[architecture], capabilities, kernel)
    program: list[Instruction] = [(LD_W_ABS, 0, 0, ARCH_AT)]
    for abi in _abis(profile, architecture):
        block: list[Instruction] = [(LD_W_ABS, 0, 0, NUMBER_AT)]
        if abi == "x86_64":
            block += [(JGE, 0, 1, X32_BIT), (RET, 0, 0, ERRNO | ENOSYS)]
        block += search(_ranges(profile, rules, abi))
        program += [(JEQ, 1, 0, AUDIT_ARCH[abi]), (JMP_JA, 0, 0, len(block)), *block]
    program.append((RET, 0, 0, KILL_PROCESS))
    if len(program) > MAX_INSTRUCTIONS:
        raise IsolationError(
            f"the seccomp profile comes to {len(program)} instructions, and the kernel takes {MAX_INSTRUCTIONS}",
            hint="write less rules with arguments",
        )
    return encode(program)


def _abis(profile: SeccompProfile, architecture: str) -> list[str]:
    """The ABIs of this machine that the profile is for: the machine's own one always (libseccomp's default)."""
    names = set(profile.architectures or ())
    for entry in profile.arch_map or ():
        if entry.architecture == ABI_NAMES[architecture]:
            names.update(entry.sub_architectures or ())
    return [abi for abi in SUPPORTED[architecture] if abi == architecture or ABI_NAMES[abi] in names]


def _ranges(profile: SeccompProfile, rules: tuple[Rule, ...], abi: str) -> list[tuple[int, list[Instruction]]]:
    table = numbers(abi)
    default = return_action(_action(profile.default_action, profile.default_errno_ret, profile.default_errno))
    with_conditions: dict[int, list[Instruction]] = {}
    plain: dict[int, list[Instruction]] = {}
    newest = 0
    for rule in rules:
        result = return_action(_action(rule.action, rule.errno_ret, rule.errno))
        for name in rule.calls:
            number = table.get(name)
            if number is None:
                continue
            newest = max(newest, number)
            if rule.args:
                block = with_conditions.setdefault(number, [])
                for conditions in _alternatives(rule.args):
                    block += _when(conditions, result)
            else:
                plain.setdefault(number, result)
    actions = dict.fromkeys(table.values(), default)
    for number in {*plain, *with_conditions}:
        actions[number] = [*with_conditions.get(number, ()), *plain.get(number, default)]
    denies = profile.default_action not in PERMISSIVE
    if not denies or profile.default_errno_ret is not None:
        return to_ranges(actions, default, default)
    missing = return_action(ERRNO | ENOSYS)
    for number in actions:
        if number > newest:
            actions[number] = missing
    return to_ranges(actions, default, missing)


def _action(name: str, errno_ret: int | None, errno_name: str) -> int:
    """The filter's return value; the lower half is the errno, or what a tracer is told."""
    value = ACTIONS[name]
    if name in ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE"):
        return value | errno_of(errno_ret, errno_name)
    return value


def _alternatives(arguments: tuple[Argument, ...]) -> list[tuple[Argument, ...]]:
    """All conditions together; each for itself when two are about the same argument, as runc has it."""
    if len({argument.index for argument in arguments}) == len(arguments):
        return [arguments]
    return [(argument,) for argument in arguments]


def _when(conditions: tuple[Argument, ...], result: list[Instruction]) -> list[Instruction]:
    """`result` if all conditions hold, else on to what follows."""
    block = list(result)
    for argument in reversed(conditions):
        block = [*_compare(argument, len(block)), *block]
    return block


def _compare(argument: Argument, rest: int) -> list[Instruction]:
    """Falls through when the condition holds, else leaves out the `rest` instructions behind it.

    An argument is 64 bits, and the machine compares 32: the high word decides first, unless it is equal.
    """
    low_at = ARGUMENTS_AT + 8 * argument.index
    low, high = (LD_W_ABS, 0, 0, low_at), (LD_W_ABS, 0, 0, low_at + 4)
    value_high, value_low = argument.value >> 32, argument.value & WORD
    if argument.op == "SCMP_CMP_MASKED_EQ":
        datum_high, datum_low = argument.value_two >> 32, argument.value_two & WORD
        return [
            high,
            (AND, 0, 0, value_high),
            (JEQ, 0, rest + 3, datum_high),
            low,
            (AND, 0, 0, value_low),
            (JEQ, 0, rest, datum_low),
        ]
    if argument.op == "SCMP_CMP_EQ":
        return [high, (JEQ, 0, rest + 2, value_high), low, (JEQ, 0, rest, value_low)]
    if argument.op == "SCMP_CMP_NE":
        return [high, (JEQ, 0, 2, value_high), low, (JEQ, rest, 0, value_low)]
    test = JGE if argument.op in ("SCMP_CMP_GE", "SCMP_CMP_LT") else JGT
    if argument.op in ("SCMP_CMP_GT", "SCMP_CMP_GE"):
        return [high, (JGT, 3, 0, value_high), (JEQ, 0, rest + 2, value_high), low, (test, 0, rest, value_low)]
    return [high, (JGT, rest + 3, 0, value_high), (JEQ, 0, 2, value_high), low, (test, rest, 0, value_low)]
