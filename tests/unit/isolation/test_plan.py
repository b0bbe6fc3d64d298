"""Plans compared as values: no privilege, no process."""

from __future__ import annotations

import marshal
from typing import Any

import msgspec
import pytest

from pywerf.errors import IsolationError
from pywerf.isolation.plan import HostFacts, host_facts, make_plan, make_template, plan_mount
from pywerf.isolation.spec import ContainerSpec, Device, Namespaces, Resources, Rlimit
from pywerf.linux import caps, notify_filter
from pywerf.linux import syscalls as sys
from pywerf.linux.mount import Mount
from pywerf.linux.seccomp_profile import SeccompProfile

FACTS = HostFacts(machine="x86_64", bounding=(1 << 41) - 1)
SPEC = ContainerSpec(rootfs=Mount("bind", "/snapshots/1"), argv=("true",))


def plan(facts: HostFacts = FACTS, **changes: Any) -> dict[str, Any]:
    return make_plan(msgspec.structs.replace(SPEC, **changes), facts)


def test_the_ordinary_plan() -> None:
    made = plan()
    assert made["namespaces"] == 0x00020000 | 0x04000000 | 0x08000000 | 0x02000000
    assert made["attach"] == [("proc", "/proc"), ("sys", "/sys"), ("dev", "/dev")]
    assert made["capabilities"] == caps.mask(caps.DOCKER_DEFAULT)
    assert made["rootfs"] == {
        "type": "bind",
        "source": "/snapshots/1",
        "target": "",
        "flags": sys.MS_NODEV,
        "data": "",
        "subpath": "",
        "recursive": False,
        "attributes": sys.MOUNT_ATTR_NODEV,
    }
    assert made["seccomp"]
    assert made["cwd"] == "/"


def test_a_plan_survives_the_wire() -> None:
    made = plan(files=(("/etc/hosts", b"\xff\0", 0o644),), env=("A=\udcff",), rlimits=(Rlimit("nofile", 5, -1),))
    assert marshal.loads(marshal.dumps(made)) == made
    assert made["rlimits"] == [(7, 5, -1)]


def test_the_template_depends_on_nothing_that_a_command_changes() -> None:
    one = make_template(SPEC, FACTS)
    other = make_template(
        ContainerSpec(Mount("overlay", "overlay"), ("sh",), uid=5, env=("A=B",), hostname="x", read_only=True), FACTS
    )
    assert one == other
    made = plan()
    assert (made["namespaces"], made["stage"]) == one


def test_kernel_paths_are_masked_and_read_only() -> None:
    stage = plan()["stage"]
    masked = {operation[1] for operation in stage if operation[0] == "mask"}
    read_only = {operation[1] for operation in stage if operation[0] == "read-only"}
    assert {"proc/kcore", "proc/keys", "proc/timer_list", "proc/scsi", "sys/firmware"} <= masked
    assert read_only == {"proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger"}
    (sysfs,) = [operation for operation in stage if operation[1] == "sysfs"]
    assert sysfs[3] & sys.MS_RDONLY


def test_privileged_has_everything() -> None:
    made = plan(privileged=True)
    assert made["capabilities"] == (1 << 41) - 1
    assert made["seccomp"] == b""
    assert ("bind", "/dev", "dev") in made["stage"]
    assert not [operation for operation in made["stage"] if operation[0] in ("mask", "read-only")]


def test_nothing_outside_the_bounding_set_is_promised() -> None:
    facts = HostFacts(machine="x86_64", bounding=caps.mask(["CAP_CHOWN", "CAP_KILL"]))
    assert plan(facts, privileged=True)["capabilities"] == facts.bounding
    assert plan(facts)["capabilities"] == facts.bounding


def test_a_user_namespace_binds_devices_and_sysfs() -> None:
    facts = HostFacts(machine="x86_64", bounding=0, device_nodes=False, own_sysfs=False)
    stage = plan(facts)["stage"]
    assert ("bound-device", "/dev/null", "dev/null") in stage
    assert ("bind", "/sys", "sys") in stage
    assert not [operation for operation in stage if operation[0] == "device"]
    assert "gid=5" not in str(stage)
    assert ("bind", "/sys", "sys") not in plan(facts, network="none")["stage"]


def test_network() -> None:
    assert plan(network="none")["namespaces"] & sys.CLONE_NEWNET
    with pytest.raises(IsolationError, match="no private network"):
        plan(network="private")


@pytest.mark.parametrize("changes", [{"argv": ()}, {"argv": ("a\0b",)}, {"env": ("A=\0",)}, {"cwd": "/\0"}])
def test_impossible_commands_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(IsolationError):
        plan(**changes)


def test_seccomp_follows_the_capabilities() -> None:
    assert plan(seccomp="unconfined")["seccomp"] == b""
    assert plan(capabilities=("CAP_SYS_ADMIN",))["seccomp"] != plan()["seccomp"]
    assert plan(HostFacts(machine="riscv64", bounding=0))["seccomp"] == b""


def test_bind_options() -> None:
    made = plan_mount(Mount("bind", "/src", "/dst", ("rbind", "ro", "nosuid", "rprivate")))
    assert made["recursive"] is True
    assert made["attributes"] == 0x1 | 0x2 | 0x4
    assert plan_mount(Mount("none", "/src", "/dst", ("bind", "ro", "rw", "dev")))["attributes"] == 0
    assert plan_mount(Mount("rbind", "/src", "/dst"))["type"] == "bind"
    with pytest.raises(IsolationError, match="no option size=5"):
        plan_mount(Mount("bind", "/src", "/dst", ("size=5",)))


def test_tmpfs_options() -> None:
    made = plan_mount(Mount("tmpfs", "tmpfs", "/t", ("nosuid", "mode=1777", "size=64m", "noexec", "exec")))
    assert made["flags"] == sys.MS_NOSUID | sys.MS_NODEV
    assert made["data"] == "mode=1777,size=64m"


def test_overlay_options() -> None:
    options = ("lowerdir=/a\\:b:/c", "upperdir=/u", "workdir=/w", "volatile", "noatime", "xino=off")
    made = plan_mount(Mount("overlay", "overlay", "", options))
    assert made["lower"] == ["/a:b", "/c"]
    assert made["folders"] == {"upperdir": "/u", "workdir": "/w"}
    assert made["data"] == "volatile,xino=off"
    assert made["flags"] == sys.MS_NOATIME | sys.MS_NODEV


def test_host_facts_are_read() -> None:
    facts = host_facts()
    assert facts.machine
    assert facts.last_capability >= 37


def test_devices_open_on_no_file_system_but_for_the_privileged() -> None:
    mounts = (Mount("bind", "/v", "/v"), Mount("tmpfs", "tmpfs", "/t"))
    ordinary, privileged = plan(mounts=mounts), plan(mounts=mounts, privileged=True)
    assert [mount["flags"] for mount in (ordinary["rootfs"], *ordinary["mounts"])] == [sys.MS_NODEV] * 3
    assert [mount["flags"] for mount in (privileged["rootfs"], *privileged["mounts"])] == [0] * 3
    (dev,) = [operation for operation in ordinary["stage"] if operation[0] == "mount" and operation[-1] == "dev"]
    assert dev[3] & sys.MS_NODEV


@pytest.mark.parametrize(
    ("changes", "said", "hint"),
    [
        ({"devices": (Device("/dev/fuse", "/dev/fuse", "r"),)}, "--device /dev/fuse", "leave the permissions out"),
        ({"network": "private"}, "no private network", "--network none"),
        ({"apparmor": "mine"}, "no AppArmor", "leave it out"),
        ({"selinux_label": "a:b:c:s0"}, "no SELinux", "leave it out"),
    ],
)
def test_what_cannot_be_done_is_refused(changes: dict[str, Any], said: str, hint: str) -> None:
    with pytest.raises(IsolationError) as caught:
        plan(**changes)
    assert said in caught.value.message
    assert hint in (caught.value.hint or "")


def test_labels_where_the_modules_are() -> None:
    facts = msgspec.structs.replace(FACTS, apparmor=True, selinux=True)
    made = plan(facts, apparmor="docker-default", selinux_label="system_u:system_r:container_t:s0:c1,c2")
    assert (made["apparmor"], made["selinux"]) == ("docker-default", "system_u:system_r:container_t:s0:c1,c2")
    assert plan(apparmor="unconfined")["apparmor"] == "unconfined"


def test_the_hosts_namespaces() -> None:
    made = plan(namespaces=Namespaces(uts="host", ipc="host", cgroup="host", pid="host"), hostname="box")
    assert made["namespaces"] == sys.CLONE_NEWNS
    assert made["pid"] == "host"
    assert made["hostname"] == ""  # it would be the host's own name that changes
    assert ("bind", "/dev/shm", "dev/shm") in made["stage"]
    assert plan(hostname="box")["hostname"] == "box"


def test_namespaces_of_others_are_joined_before_anything_shows_them() -> None:
    wanted = Namespaces(uts="/run/uts", ipc="/run/ipc", network="/run/net", pid="/run/pid")
    made = plan(namespaces=wanted, network="private")
    assert made["stage"][:3] == [
        ("namespace", sys.CLONE_NEWUTS, "/run/uts"),
        ("namespace", sys.CLONE_NEWIPC, "/run/ipc"),
        ("namespace", sys.CLONE_NEWNET, "/run/net"),
    ]
    assert not made["namespaces"] & (sys.CLONE_NEWUTS | sys.CLONE_NEWIPC | sys.CLONE_NEWNET)
    assert made["pid"] == "/run/pid"
    # RUN --network=none has the last word
    assert not [one for one in plan(namespaces=wanted)["stage"] if one[:2] == ("namespace", sys.CLONE_NEWNET)]


def test_in_a_user_namespace_the_hosts_pid_and_ipc_are_bound_as_they_are() -> None:
    facts = msgspec.structs.replace(FACTS, device_nodes=False, own_sysfs=False)
    stage = plan(facts, namespaces=Namespaces(pid="host", ipc="host"))["stage"]
    assert ("bind", "/proc", "proc") in stage
    assert not [operation for operation in stage if operation[:2] == ("mount", "mqueue")]


def test_a_cgroup_of_its_own_is_joined_before_the_namespace_around_it() -> None:
    spec = msgspec.structs.replace(SPEC, resources=Resources(memory=1 << 20))
    made = make_plan(spec, FACTS, ("/sys/fs/cgroup/x/cgroup.procs",))
    assert made["cgroups"] == ["/sys/fs/cgroup/x/cgroup.procs"]
    assert made["cgroup_namespace"]
    assert not made["namespaces"] & sys.CLONE_NEWCGROUP
    assert not plan(cgroup_parent="/x", namespaces=Namespaces(cgroup="host"))["cgroup_namespace"]
    assert not plan()["cgroup_namespace"]


def test_devices_are_bound_and_may_be_opened() -> None:
    (mount,) = plan(devices=(Device("/dev/fuse", "/dev/f"),))["mounts"]
    assert (mount["type"], mount["source"], mount["target"]) == ("bind", "/dev/fuse", "/dev/f")
    assert not mount["attributes"] & sys.MOUNT_ATTR_NODEV


def test_a_profile_of_the_users_takes_the_place_of_the_default() -> None:
    profile = SeccompProfile(default_action="SCMP_ACT_ALLOW", flags=("SECCOMP_FILTER_FLAG_LOG",))
    made = plan(seccomp=profile)
    assert made["seccomp"]
    assert made["seccomp"] != plan()["seccomp"]
    assert made["seccomp_flags"] == 2
    assert plan(seccomp=profile, privileged=True)["seccomp"] == b""


def test_root_needs_no_supervisor() -> None:
    assert plan()["supervision"] is None


@pytest.mark.parametrize("one_id", [False, True])
def test_what_the_kernel_refuses_in_a_user_namespace_is_supervised(one_id: bool) -> None:
    facts = HostFacts("x86_64", (1 << 41) - 1, device_nodes=False, own_sysfs=False, one_id=one_id)
    settings = plan(facts, uid=5, gid=6, groups=(7,))["supervision"]
    assert settings["everything"] is one_id
    assert settings["capabilities"] == caps.mask(caps.DOCKER_DEFAULT)
    assert (settings["uid"], settings["gid"], settings["groups"]) == (5, 6, [7])
    assert settings["filter"] == notify_filter.compile_filter("x86_64", everything=one_id)
    assert marshal.loads(marshal.dumps(settings)) == settings


def test_processes_of_another_pid_namespace_cannot_be_supervised() -> None:
    facts = HostFacts("x86_64", (1 << 41) - 1, device_nodes=False, own_sysfs=False)
    assert plan(facts, namespaces=Namespaces(pid="host"))["supervision"] is None
    with pytest.raises(IsolationError, match="--pid host: in a user namespace with one id"):
        plan(msgspec.structs.replace(facts, one_id=True), namespaces=Namespaces(pid="host"))


def test_a_machine_without_a_table_of_calls_has_no_supervisor() -> None:
    assert plan(HostFacts("riscv64", 0, device_nodes=False))["supervision"] is None
