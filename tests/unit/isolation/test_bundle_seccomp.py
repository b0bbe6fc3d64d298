"""The default profile as rules says what the program does."""

from __future__ import annotations

import stat
from typing import Any

import pytest

from pywerf.isolation.bundle_seccomp import default_rules, notify_about_devices
from pywerf.linux import caps


def allowed(capabilities: tuple[str, ...]) -> set[str]:
    rules = default_rules("x86_64", capabilities)
    assert rules is not None
    return {
        name
        for rule in rules["syscalls"]
        if rule["action"] == "SCMP_ACT_ALLOW" and "args" not in rule
        for name in rule["names"]
    }


def test_what_ordinary_programs_need_is_allowed() -> None:
    assert {"read", "openat", "execve", "mknod", "arch_prctl", "chroot"} <= allowed(caps.DOCKER_DEFAULT)
    assert not {"mount", "bpf", "init_module", "clone", "clone3", "unshare"} & allowed(caps.DOCKER_DEFAULT)


def test_capabilities_open_calls() -> None:
    assert {"mount", "clone", "clone3", "unshare"} <= allowed(("CAP_SYS_ADMIN",))
    assert "chroot" not in allowed(())


def test_architectures() -> None:
    rules = default_rules("aarch64", ())
    assert rules is not None
    assert rules["architectures"] == ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"]
    assert default_rules("riscv64", ()) is None


def answer(rules: dict[str, Any], name: str, *arguments: int) -> str:
    """The action of the first rule that fits, as a rule with conditions is looked at before one without."""
    fitting = [rule for rule in rules["syscalls"] if name in rule["names"]]
    for rule in sorted(fitting, key=lambda rule: "args" not in rule):
        if all(arguments[one["index"]] & one["value"] == one["valueTwo"] for one in rule.get("args", ())):
            return str(rule["action"])
    return str(rules["defaultAction"])


@pytest.mark.parametrize("unconfined", [False, True])
@pytest.mark.parametrize("call", ["mknod", "mknodat"])
def test_a_supervisor_is_asked_about_devices_alone(call: str, unconfined: bool) -> None:
    before = None if unconfined else default_rules("x86_64", caps.DOCKER_DEFAULT)
    rules = notify_about_devices(before, "x86_64")
    skipped = (0,) if call == "mknod" else (0, 0)
    for kind, action in (
        (stat.S_IFCHR, "SCMP_ACT_NOTIFY"),
        (stat.S_IFBLK, "SCMP_ACT_NOTIFY"),
        (stat.S_IFIFO, "SCMP_ACT_ALLOW"),
        (stat.S_IFREG, "SCMP_ACT_ALLOW"),
        (0, "SCMP_ACT_ALLOW"),
    ):
        assert answer(rules, call, *skipped, kind | 0o644) == action
    assert answer(rules, "chroot") == "SCMP_ACT_NOTIFY"
    assert answer(rules, "read") == "SCMP_ACT_ALLOW"
    assert [one for one in rules["syscalls"] if not one["names"]] == []
    assert {"SCMP_ARCH_X86_64", "SCMP_ARCH_X86"} <= set(rules["architectures"])


def test_what_the_rules_forbid_stays_forbidden() -> None:
    rules = notify_about_devices(default_rules("x86_64", ()), "x86_64")
    assert answer(rules, "chroot") == "SCMP_ACT_ERRNO"
    strict = {"defaultAction": "SCMP_ACT_ERRNO", "architectures": [], "syscalls": [{"names": ["read"], "action": "x"}]}
    assert notify_about_devices(strict, "x86_64")["syscalls"] == strict["syscalls"]
    loose = {"defaultAction": "SCMP_ACT_ALLOW", "architectures": [], "syscalls": []}
    loose["syscalls"] = [{"names": ["mknod", "mknodat"], "action": "SCMP_ACT_ERRNO"}]
    rules = notify_about_devices(loose, "x86_64")
    assert answer(rules, "mknodat", 0, 0, stat.S_IFCHR) == "SCMP_ACT_ERRNO"
    assert answer(rules, "chroot") == "SCMP_ACT_NOTIFY"
