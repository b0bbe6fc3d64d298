"""Plans of containers without mounts, compared as values; and what those refuse."""

from __future__ import annotations

import os
from typing import Any

import msgspec
import pytest

from pywerf.errors import IsolationError
from pywerf.isolation.plain import check_spec, plain_plan
from pywerf.isolation.plan import HostFacts
from pywerf.isolation.spec import ContainerSpec, Device, IdMap, Namespaces, Resources
from pywerf.linux import caps
from pywerf.linux.mount import Mount

FACTS = HostFacts(machine="x86_64", bounding=caps.mask(caps.DOCKER_DEFAULT))
DOCKER = frozenset(caps.DOCKER_DEFAULT)
SPEC = ContainerSpec(rootfs=Mount("bind", "/store/snapshots/vfs/1", "", ("bind",)), argv=("true",))


def plan(effective: frozenset[str] = DOCKER, **changes: Any) -> dict[str, Any]:
    return plain_plan(msgspec.structs.replace(SPEC, **changes), FACTS, effective)


def test_in_a_container_it_has_dockers_capabilities_but_the_one_to_leave_a_chroot() -> None:
    assert caps.names(plan()["capabilities"]) == tuple(
        name for name in sorted(caps.DOCKER_DEFAULT) if name != "CAP_SYS_CHROOT"
    )


def test_a_capability_that_was_asked_for_is_given() -> None:
    made = plan(capabilities=("CAP_CHOWN", "CAP_SYS_CHROOT", "CAP_SYS_TIME"))
    assert caps.names(made["capabilities"]) == ("CAP_CHOWN", "CAP_SYS_CHROOT")


def test_nothing_can_be_taken_away_without_the_capability_for_it() -> None:
    assert plan(DOCKER - {"CAP_SETPCAP"})["capabilities"] == FACTS.bounding


@pytest.mark.parametrize(
    ("effective", "no_new_privileges", "filtered"),
    [(DOCKER, False, False), (DOCKER, True, True), (DOCKER | {"CAP_SYS_ADMIN"}, False, True)],
)
def test_a_filter_is_set_where_set_user_id_programs_do_not_suffer_from_it(
    effective: frozenset[str], no_new_privileges: bool, filtered: bool
) -> None:
    assert bool(plan(effective, no_new_privileges=no_new_privileges)["seccomp"]) is filtered


def test_namespaces_of_the_host_are_what_it_has_anyway() -> None:
    names = Namespaces(pid="host", ipc="host", uts="host", cgroup="host", user="host")
    assert plan(namespaces=names) == plan()
    assert plan(hostname=os.uname().nodename)["root"] == "/store/snapshots/vfs/1"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"namespaces": Namespaces(pid="/proc/1/ns/pid")}, "joining the namespace /proc/1/ns/pid"),
        ({"namespaces": Namespaces(user="private")}, "a user namespace"),
        ({"namespaces": Namespaces(uid_map=(IdMap(0, 1, 1),))}, "a user namespace"),
        ({"resources": Resources(cpu_shares=2)}, "limits of memory and processors"),
        ({"cgroup_parent": "/x"}, "limits of memory and processors"),
        ({"apparmor": "mine"}, "an AppArmor profile"),
        ({"selinux_label": "a:b:c:d"}, "an SELinux label"),
        ({"network": "none"}, "--network none needs a network namespace"),
        ({"rootfs": Mount("overlay", "overlay")}, "the vfs driver's"),
        ({"rootfs": Mount("bind", "/x", "", ("bind", "ro"))}, "the vfs driver's"),
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(IsolationError, match=says):
        check_spec(msgspec.structs.replace(SPEC, **changes))


def test_devices_are_no_business_of_the_plan() -> None:
    assert plan(devices=(Device("/dev/fuse", "/dev/fuse"),)) == plan()
