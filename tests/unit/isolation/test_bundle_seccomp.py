"""The default profile as rules says what the program does."""

from __future__ import annotations

from pywerf.isolation.bundle_seccomp import default_rules
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
