"""Docker's format of seccomp profiles: what is read, what counts where, what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pywerf.errors import InvalidValue
from pywerf.linux.seccomp_profile import SeccompProfile, parse_profile, rules_for


def profile(*rules: dict[str, Any], **fields: Any) -> SeccompProfile:
    document = {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": list(rules), **fields}
    return parse_profile(json.dumps(document).encode(), "p.json")


def calls(found: SeccompProfile, arch: str = "amd64", caps: tuple[str, ...] = (), kernel: str = "6.1.0") -> list[str]:
    return [name for rule in rules_for(found, arch, caps, kernel) for name in rule.calls]


def test_conditions_decide_which_rules_count() -> None:
    found = profile(
        {"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": None, "includes": {}, "excludes": None},
        {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
        {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38, "excludes": {"caps": ["CAP_SYS_ADMIN"]}},
        {"names": ["arch_prctl"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["amd64", "x32"]}},
        {"names": ["ptrace"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}},
        {"names": ["bdflush"], "action": "SCMP_ACT_ALLOW", "excludes": {"minKernel": "5.10", "arches": ["s390x"]}},
        {"name": "write", "action": "SCMP_ACT_ALLOW"},
    )
    assert calls(found) == ["read", "clone3", "arch_prctl", "ptrace", "write"]
    assert calls(found, caps=("CAP_SYS_ADMIN",)) == ["read", "mount", "arch_prctl", "ptrace", "write"]
    assert calls(found, arch="arm64", kernel="4.7.1-generic") == ["read", "clone3", "bdflush", "write"]


def test_what_is_done_anyway_needs_no_rule() -> None:
    found = profile({"names": ["read"], "action": "SCMP_ACT_ALLOW"}, defaultAction="SCMP_ACT_ALLOW")
    assert calls(found) == []


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (b"{", "p.json"),
        (b'{"syscalls": []}', "defaultAction"),
        (b'{"defaultAction": "SCMP_ACT_NOTIFY"}', "SCMP_ACT_NOTIFY"),
        (b'{"defaultAction": "SCMP_ACT_KILL", "syscalls": [{"action": "SCMP_ACT_ALLOW"}]}', "either name or names"),
        (b'{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 5000}', "5000 is no errno"),
        (b'{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrno": "EFOO"}', "unknown errno 'EFOO'"),
        (
            (
                b'{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"name": "a", "action": "SCMP_ACT_ALLOW",'
                b' "args": [{"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}]}]}'
            ),
            "index 0 to 5",
        ),
        (
            (
                b'{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"name": "a", "action": "SCMP_ACT_ALLOW",'
                b' "includes": {"minKernel": "four"}}]}'
            ),
            "no version",
        ),
        (
            (
                b'{"defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86"],'
                b' "archMap": [{"architecture": "SCMP_ARCH_X86_64"}]}'
            ),
            "either architectures or archMap",
        ),
    ],
)
def test_what_is_no_profile_is_refused(document: bytes, said: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        parse_profile(document, "p.json")
    assert said in caught.value.message
    assert "p.json" in caught.value.message
