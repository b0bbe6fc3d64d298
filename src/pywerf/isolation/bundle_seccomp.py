"""Seccomp profiles as the runtime-spec has them (config-linux.md#seccomp): Docker's default one, and the user's own."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from pywerf.linux import seccomp
from pywerf.linux.seccomp_profile import Rule, SeccompProfile, errno_of, rules_for
from pywerf.linux.seccomp_rules import ABI_NAMES, GO_NAMES

__all__ = ["default_rules", "profile_rules"]

ALLOW, ERRNO = "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO"


def default_rules(machine: str, capabilities: Collection[str]) -> dict[str, Any] | None:
    """`linux.seccomp` for a machine (uname's word) and a capability set; None where we know no table of its calls.

    What is not allowed is EPERM. That calls which are newer than the rules are ENOSYS is the runtimes' own doing.
    """
    if machine not in seccomp.SUPPORTED:
        return None
    abis = seccomp.SUPPORTED[machine]
    allowed = set(f"{seccomp.ALLOWED} {' '.join(seccomp.ALLOWED_BY_ARCHITECTURE[abi] for abi in abis)}".split())
    for capability in capabilities:
        allowed.update(seccomp.ALLOWED_BY_CAPABILITY.get(capability, "").split())
    rules: list[dict[str, Any]] = []
    if "CAP_SYS_ADMIN" not in capabilities:
        flags = {"index": 0, "value": seccomp.NAMESPACE_FLAGS, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}
        rules.append({"names": ["clone"], "action": ALLOW, "args": [flags]})
        # Its flags are in memory, where a filter cannot look: libraries fall back to clone.
        rules.append({"names": ["clone3"], "action": ERRNO, "errnoRet": seccomp.ENOSYS})
    vsock = {"index": 0, "value": seccomp.AF_VSOCK, "op": "SCMP_CMP_NE"}
    rules.append({"names": ["socket"], "action": ALLOW, "args": [vsock]})
    rules += [
        {"names": ["personality"], "action": ALLOW, "args": [{"index": 0, "value": value, "op": "SCMP_CMP_EQ"}]}
        for value in seccomp.PERSONALITIES
    ]
    return {
        "defaultAction": ERRNO,
        "defaultErrnoRet": seccomp.EPERM,
        "architectures": [ABI_NAMES[abi] for abi in abis],
        "syscalls": [{"names": sorted(allowed), "action": ALLOW}, *rules],
    }


def profile_rules(profile: SeccompProfile, machine: str, capabilities: Collection[str], release: str) -> dict[str, Any]:
    """A profile of the user's, with the rules that count for a machine, a capability set and a kernel."""
    go_name = GO_NAMES.get(machine, machine)
    own = ABI_NAMES.get(machine, "")
    architectures = list(profile.architectures or ())
    for one in profile.arch_map or ():
        if one.architecture == own:
            architectures = [own, *(one.sub_architectures or ())]
    return {
        "defaultAction": profile.default_action,
        "defaultErrnoRet": errno_of(profile.default_errno_ret, profile.default_errno),
        "architectures": architectures,
        "flags": list(profile.flags or ()),
        "syscalls": [_rule(rule) for rule in rules_for(profile, go_name, capabilities, release)],
    }


def _rule(rule: Rule) -> dict[str, Any]:
    written: dict[str, Any] = {"names": list(rule.calls), "action": rule.action}
    if rule.action in ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE"):
        written["errnoRet"] = errno_of(rule.errno_ret, rule.errno)
    if rule.args:
        written["args"] = [
            {"index": one.index, "value": one.value, "valueTwo": one.value_two, "op": one.op} for one in rule.args
        ]
    return written
