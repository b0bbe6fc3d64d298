"""A seccomp profile in Docker's JSON format, and what it comes to for one machine and one capability set. Pure.

The format is that of Docker Engine ("Seccomp security profiles", moby's profiles/seccomp), which podman and
buildah share: the runtime-spec's `linux.seccomp` (config-linux.md#seccomp) with `archMap`, `includes` and `excludes`
beside it.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

import msgspec

from pywerf.errors import InvalidValue

__all__ = ["ArchMap", "Argument", "Condition", "Rule", "SeccompProfile", "parse_profile", "rules_for"]

Action = Literal[
    "SCMP_ACT_KILL",
    "SCMP_ACT_KILL_THREAD",
    "SCMP_ACT_KILL_PROCESS",
    "SCMP_ACT_TRAP",
    "SCMP_ACT_ERRNO",
    "SCMP_ACT_TRACE",
    "SCMP_ACT_LOG",
    "SCMP_ACT_ALLOW",
]
Operator = Literal[
    "SCMP_CMP_NE",
    "SCMP_CMP_LT",
    "SCMP_CMP_LE",
    "SCMP_CMP_EQ",
    "SCMP_CMP_GE",
    "SCMP_CMP_GT",
    "SCMP_CMP_MASKED_EQ",
]


class Argument(msgspec.Struct, frozen=True, rename="camel"):
    """A condition on argument `index` (0 to 5). MASKED_EQ: (argument & value) == value_two."""

    index: int
    value: int
    op: Operator
    value_two: int = 0


class Condition(msgspec.Struct, frozen=True, rename="camel"):
    """When a rule counts: capabilities (names as CAP_X), architectures (Go's names), `X.Y` of the kernel."""

    caps: tuple[str, ...] | None = ()
    arches: tuple[str, ...] | None = ()
    min_kernel: str | None = ""


_ALWAYS = Condition()


class Rule(msgspec.Struct, frozen=True, rename="camel"):
    """What is done with some calls. `names` and, of older profiles, `name`; `errno` is podman's errno by name."""

    action: Action
    names: tuple[str, ...] = ()
    name: str = ""
    args: tuple[Argument, ...] | None = ()
    errno_ret: int | None = None
    errno: str = ""
    includes: Condition | None = None
    excludes: Condition | None = None

    @property
    def calls(self) -> tuple[str, ...]:
        """The names of the calls that are meant."""
        return (self.name,) if self.name else self.names


class ArchMap(msgspec.Struct, frozen=True, rename="camel"):
    """An architecture with those whose calls its kernel takes too (SCMP_ARCH_X86_64: SCMP_ARCH_X86, …)."""

    architecture: str
    sub_architectures: tuple[str, ...] | None = ()


class SeccompProfile(msgspec.Struct, frozen=True, rename="camel"):
    """A whole profile, as it was read."""

    default_action: Action
    default_errno_ret: int | None = None
    default_errno: str = ""
    architectures: tuple[str, ...] | None = ()
    arch_map: tuple[ArchMap, ...] | None = ()
    flags: tuple[str, ...] | None = ()
    syscalls: tuple[Rule, ...] | None = ()


def parse_profile(data: bytes, path: str) -> SeccompProfile:
    """The profile in a file's content. Raises InvalidValue, which names the file, for what is no profile."""
    hint = "it is Docker's format: defaultAction, and syscalls with names and action"
    try:
        profile = msgspec.json.decode(data, type=SeccompProfile)
    except msgspec.MsgspecError as error:
        raise InvalidValue(f"seccomp profile {path}: {error}", hint=hint) from error
    for rule in profile.syscalls or ():
        if bool(rule.name) == bool(rule.names):
            raise InvalidValue(f"seccomp profile {path}: a rule has either name or names", hint=hint)
        for argument in rule.args or ():
            values = (argument.value, argument.value_two)
            if not 0 <= argument.index <= 5 or any(not 0 <= value < 1 << 64 for value in values):
                raise InvalidValue(
                    f"seccomp profile {path}: {rule.calls[0]}: an argument has the index 0 to 5 and 64 bits", hint=hint
                )
        for condition in (rule.includes, rule.excludes):
            if condition is not None and condition.min_kernel:
                _kernel(condition.min_kernel, path)
    if profile.arch_map and profile.architectures:
        raise InvalidValue(f"seccomp profile {path}: either architectures or archMap", hint=hint)
    for numbers in (profile.default_errno_ret, *(rule.errno_ret for rule in profile.syscalls or ())):
        if numbers is not None and not 0 <= numbers < 4096:
            raise InvalidValue(f"seccomp profile {path}: {numbers} is no errno", hint=hint)
    for name in (profile.default_errno, *(rule.errno for rule in profile.syscalls or ())):
        errno_of(None, name, path)
    return profile


def errno_of(number: int | None, name: str = "", path: str = "") -> int:
    """The errno that an action gives: a number, or podman's name of one; EPERM when nothing is said."""
    import errno

    if number is not None:
        return number
    if not name:
        return errno.EPERM
    found = getattr(errno, name, None)
    if isinstance(found, int):
        return found
    if name.isascii() and name.isdigit() and int(name) < 4096:
        return int(name)
    raise InvalidValue(f"seccomp profile {path}: unknown errno {name!r}", hint="names are as in errno(3)")


def rules_for(
    profile: SeccompProfile, architecture: str, capabilities: Collection[str], kernel: str
) -> tuple[Rule, ...]:
    """The rules that count on a machine: Go's name of its architecture, full capability names, uname's release.

    Rules that do what is done anyway are left out, as runc does.
    """
    found = []
    here = _kernel(kernel)
    for rule in profile.syscalls or ():
        wanted, unwanted = rule.includes or _ALWAYS, rule.excludes or _ALWAYS
        if wanted.caps and not all(name in capabilities for name in wanted.caps):
            continue
        if unwanted.caps and any(name in capabilities for name in unwanted.caps):
            continue
        if wanted.arches and architecture not in wanted.arches:
            continue
        if unwanted.arches and architecture in unwanted.arches:
            continue
        if wanted.min_kernel and here < _kernel(wanted.min_kernel):
            continue
        if unwanted.min_kernel and here >= _kernel(unwanted.min_kernel):
            continue
        if rule.action != profile.default_action or rule.action == "SCMP_ACT_ERRNO":
            found.append(rule)
    return tuple(found)


def _kernel(text: str, path: str = "") -> tuple[int, int]:
    """`4.8`, or all of uname's release, as two numbers."""
    import re

    match = re.match(r"(\d+)\.(\d+)", text)
    if match is None:
        raise InvalidValue(f"seccomp profile {path}: minKernel {text!r} is no version")
    return int(match[1]), int(match[2])
