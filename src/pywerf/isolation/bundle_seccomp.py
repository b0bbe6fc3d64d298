"""Seccomp profiles as the runtime-spec has them (config-linux.md#seccomp): Docker's default one, and the user's own."""

from __future__ import annotations

import stat
from collections.abc import Collection
from typing import Any

from pywerf.linux import seccomp
from pywerf.linux.notify_filter import ALWAYS_DEVICES, DEVICES
from pywerf.linux.seccomp_profile import Rule, SeccompProfile, errno_of, rules_for
from pywerf.linux.seccomp_rules import ABI_NAMES, GO_NAMES

__all__ = ["default_rules", "notify_about_devices", "profile_rules"]

ALLOW, ERRNO, NOTIFY = "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_NOTIFY"
_WITH_ERRNO = (ERRNO, "SCMP_ACT_TRACE")
_FORMAT = 0o170000  # inode(7)'s S_IFMT
_FORMATS = {  # of mknod(2): what a supervisor is asked about, what it is not
    NOTIFY: (stat.S_IFCHR, stat.S_IFBLK),
    ALLOW: (0, stat.S_IFREG, stat.S_IFIFO, stat.S_IFSOCK),
}


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
    written: dict[str, Any] = {
        "defaultAction": profile.default_action,
        "architectures": architectures,
        "flags": list(profile.flags or ()),
        "syscalls": [_rule(rule) for rule in rules_for(profile, go_name, capabilities, release)],
    }
    if profile.default_action in _WITH_ERRNO:  # crun refuses a number that means nothing
        written["defaultErrnoRet"] = errno_of(profile.default_errno_ret, profile.default_errno)
    return written


def _rule(rule: Rule) -> dict[str, Any]:
    written: dict[str, Any] = {"names": list(rule.calls), "action": rule.action}
    if rule.action in _WITH_ERRNO:
        written["errnoRet"] = errno_of(rule.errno_ret, rule.errno)
    if rule.args:
        written["args"] = [
            {"index": one.index, "value": one.value, "valueTwo": one.value_two, "op": one.op} for one in rule.args
        ]
    return written


def notify_about_devices(rules: dict[str, Any] | None, machine: str) -> dict[str, Any]:
    """The same rules (None: everything is allowed), with which a supervisor is asked about devices.

    Calls that the rules forbid, or allow with conditions of their own, are left as they are.
    """
    if rules is None:
        # Programs of an architecture that is not named here would be killed.
        abis = [ABI_NAMES[abi] for abi in seccomp.SUPPORTED[machine]]
        abis += ["SCMP_ARCH_X32"] if machine == "x86_64" else []
        rules = {"defaultAction": ALLOW, "architectures": abis, "syscalls": []}
    calls = (*DEVICES, *ALWAYS_DEVICES)
    named = {name for rule in rules["syscalls"] for name in rule["names"]}
    asked = set(calls) - named if rules["defaultAction"] == ALLOW else set()
    written: list[dict[str, Any]] = []
    for rule in rules["syscalls"]:
        if rule["action"] == ALLOW and "args" not in rule:
            asked |= set(calls) & set(rule["names"])
            rule = rule | {"names": [name for name in rule["names"] if name not in calls]}
        if rule["names"]:
            written.append(rule)
    for position, name in enumerate(DEVICES):
        if name in asked:
            written += _by_format(name, 1 + position)
    written += [{"names": [name], "action": NOTIFY} for name in ALWAYS_DEVICES if name in asked]
    return rules | {"syscalls": written}


def _by_format(call: str, argument: int) -> list[dict[str, Any]]:
    def condition(kind: int) -> dict[str, Any]:
        return {"index": argument, "value": _FORMAT, "valueTwo": kind, "op": "SCMP_CMP_MASKED_EQ"}

    return [
        {"names": [call], "action": action, "args": [condition(kind)]}
        for action, kinds in _FORMATS.items()
        for kind in kinds
    ]
