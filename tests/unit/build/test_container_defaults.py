"""The flags as one ContainerSpec."""

from __future__ import annotations

from pathlib import Path

import pytest

from pywerf.build.container_defaults import container_defaults, resolver, selinux_label
from pywerf.build.options import ContainerOptions
from pywerf.errors import InvalidValue, UsageError
from pywerf.isolation.network import Resolver
from pywerf.isolation.spec import Device, Namespaces, Resources, Rlimit
from pywerf.linux.seccomp_profile import SeccompProfile


def test_nothing_asked_is_the_ordinary_container() -> None:
    spec = container_defaults(ContainerOptions())
    assert (spec.capabilities, spec.rlimits, spec.seccomp, spec.shm_size) == (None, (), "default", 64 << 20)
    assert not spec.resources.limited
    assert resolver(ContainerOptions()) is None


def test_everything_arrives() -> None:
    asked = ContainerOptions(
        resources=Resources(memory=5),
        cgroup_parent="/x",
        namespaces=Namespaces(pid="host"),
        devices=(Device("/dev/null", "/dev/null"),),
        seccomp="unconfined",
        apparmor="mine",
        labels=("type:x_t",),
        no_new_privileges=True,
    )
    spec = container_defaults(asked, ulimits=("core=0",), cap_drop=("ALL",), cap_add=("chown",), shm_size=7)
    assert spec.resources.memory == 5
    assert (spec.cgroup_parent, spec.namespaces.pid, spec.devices) == ("/x", "host", asked.devices)
    assert (spec.seccomp, spec.apparmor, spec.no_new_privileges) == ("unconfined", "mine", True)
    assert spec.selinux_label.endswith(":x_t:s0")
    assert (spec.rlimits, spec.capabilities, spec.shm_size) == ((Rlimit("core", 0, 0),), ("CAP_CHOWN",), 7)


def test_a_seccomp_profile_is_read_here(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    path.write_text('{"defaultAction": "SCMP_ACT_ALLOW"}')
    assert container_defaults(ContainerOptions(seccomp=str(path))).seccomp == SeccompProfile("SCMP_ACT_ALLOW")
    assert container_defaults(ContainerOptions(seccomp="builtin")).seccomp == "default"
    with pytest.raises(UsageError, match="--security-opt seccomp=/nope: No such file"):
        container_defaults(ContainerOptions(seccomp="/nope"))
    path.write_text("{}")
    with pytest.raises(InvalidValue, match=r"p\.json"):
        container_defaults(ContainerOptions(seccomp=str(path)))


def test_labels_change_what_the_policy_says_for_containers() -> None:
    policy = '# comment\nprocess = "system_u:system_r:mine_t:s0:c5"\nfile = "x:y:z:s0"\n'
    assert selinux_label(("type:x_t", "level:s0:c1,c2"), policy) == "system_u:system_r:x_t:s0:c1,c2"
    assert selinux_label(("role:r",), policy) == "system_u:r:mine_t:s0:c5"
    assert selinux_label(("user:u",), "") == "u:system_r:container_t:s0"
    assert selinux_label((), policy) == selinux_label(("type:x_t", "disable"), policy) == ""


def test_names() -> None:
    asked = ContainerOptions(dns_servers=("192.0.2.1",), dns_searches=("a",), dns_options=("ndots:1",), hosts=False)
    assert resolver(asked) == Resolver(("192.0.2.1",), ("a",), ("ndots:1",), own_hosts=False)
    assert resolver(ContainerOptions(dns_servers=("none",))) == Resolver(own_resolv_conf=False)
