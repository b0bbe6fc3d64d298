"""Limits, namespaces, devices and profiles of containers, for real: as this machine's cgroups and kernel have them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pywerf.errors import IsolationError
from pywerf.isolation.cgroup_dirs import present_hierarchies
from pywerf.isolation.spec import Device, Namespaces, Resources
from pywerf.linux.seccomp_profile import parse_profile

pytestmark = pytest.mark.integration


def cgroups_of(pid: int) -> list[str]:
    """The cgroups of a program's containers that are there now."""
    found = []
    for hierarchy in present_hierarchies():
        for folder, folders, _ in os.walk(hierarchy.mount):
            found += [f"{folder}/{name}" for name in folders if name.startswith(f"pywerf-chroot-{pid}-")]
    return found


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    yield
    assert cgroups_of(os.getpid()) == []


def cgroup_files(runner: Any, resources: Resources, **fields: Any) -> dict[str, str]:
    """What the container's own cgroups hold, read from outside while it waits."""
    spec = runner.spec("sh", "-c", "echo ready; read line", resources=resources, **fields)
    out, into = os.pipe()
    keys, answer = os.pipe()
    values = {}
    try:
        container = runner.isolation.start(spec, keys, into, into)
        assert os.read(out, 100) == b"ready\n"
        for folder in cgroups_of(os.getpid()):
            for name in os.listdir(folder):
                if name.startswith(("memory.", "cpu.", "cpuset.", "cgroup.procs")):
                    try:
                        values[name] = Path(folder, name).read_text().strip()
                    except OSError:
                        continue  # some can be written only
        os.write(answer, b"go\n")
        assert container.wait().status == 0
    finally:
        for fd in (out, into, keys, answer):
            os.close(fd)
    return values


def test_limits_are_in_the_containers_cgroup(runner: Any) -> None:
    values = cgroup_files(runner, Resources(64 << 20, 96 << 20, 512, 50_000, 100_000, "0", "0"))
    if "memory.max" in values:
        assert (values["memory.max"], values["memory.swap.max"]) == (str(64 << 20), str(32 << 20))
    else:
        assert values["memory.limit_in_bytes"] == str(64 << 20)
        assert values.get("memory.memsw.limit_in_bytes", str(96 << 20)) == str(96 << 20)
    if "cpu.max" in values:
        assert (values["cpu.max"], values["cpu.weight"]) == ("50000 100000", "20")
    else:
        assert (values["cpu.cfs_quota_us"], values["cpu.cfs_period_us"], values["cpu.shares"]) == (
            "50000",
            "100000",
            "512",
        )
    assert (values["cpuset.cpus"], values["cpuset.mems"]) == ("0", "0")
    assert values["cgroup.procs"]


def test_swap_is_as_much_again_by_default(runner: Any) -> None:
    values = cgroup_files(runner, Resources(64 << 20))
    assert values.get("memory.memsw.limit_in_bytes", str(128 << 20)) == str(128 << 20)
    assert values.get("memory.swap.max", str(64 << 20)) == str(64 << 20)


def test_too_much_memory_ends_in_a_kill(runner: Any) -> None:
    # tail keeps all of one line
    script = "head -c 100000000 /dev/zero | tail -n 1 | wc -c; echo end"
    # a kernel of its own, or the process that has entered a namespace of its own, needs some of it before anything runs
    status, output = runner.shell(script, resources=Resources(64 << 20, 64 << 20))
    if runner.own_kernel:
        assert status != 0  # the kernel with all of its processes is one process of the host's
    else:
        assert (status, output.split()[-1]) == (0, "end")
    assert "100000000" not in output
    assert "100000000" in runner.shell(script)[1]


def test_processors_of_a_set(runner: Any) -> None:
    cpu = min(os.sched_getaffinity(0))
    script = "grep Cpus_allowed_list /proc/self/status"
    if not runner.own_kernel:  # which shows nothing of it: its limits are looked at from outside, above
        assert runner.shell(script, resources=Resources(cpuset_cpus=str(cpu)))[1].split() == [
            "Cpus_allowed_list:",
            str(cpu),
        ]
    with pytest.raises(
        IsolationError, match=r"--cpuset-cpus and --cpuset-mems: cannot write 1000000 to .*cpuset\.cpus"
    ):
        runner.shell(script, resources=Resources(cpuset_cpus="1000000"))


def test_a_container_sees_its_cgroup_as_the_root(runner: Any) -> None:
    if runner.own_kernel:
        return  # there are no cgroups in it
    _, output = runner.shell("cat /proc/self/cgroup", resources=Resources(memory=64 << 20))
    assert {line.split(":", 2)[2] for line in output.splitlines()} == {"/"}
    _, output = runner.shell(
        "cat /proc/self/cgroup", resources=Resources(memory=64 << 20), namespaces=Namespaces(cgroup="host")
    )
    assert "pywerf-chroot-" in output


def test_a_parent_is_made_and_goes_again(runner: Any) -> None:
    parent = f"/pywerf-test-{os.getpid()}/a"
    assert cgroup_files(runner, Resources(), cgroup_parent=parent)["cgroup.procs"]
    if not runner.own_kernel:
        _, output = runner.shell("cat /proc/self/cgroup", cgroup_parent=parent, namespaces=Namespaces(cgroup="host"))
        assert f"{parent}/pywerf-chroot-" in output
    for hierarchy in present_hierarchies():
        assert not os.path.exists(f"{hierarchy.mount}{os.path.dirname(parent)}")


def test_cgroups_go_with_a_program_that_is_killed(busybox_image: Path) -> None:
    script = f"""
import os, sys
from pywerf.isolation.chroot import ChrootIsolation
from pywerf.isolation.spec import ContainerSpec, Namespaces, Resources
from pywerf.linux.mount import Mount
isolation = ChrootIsolation()
spec = ContainerSpec(
    rootfs=Mount("bind", {str(busybox_image)!r}), argv=("sleep", "600"), env=("PATH=/bin",),
    resources=Resources(memory=64 << 20), namespaces=Namespaces(pid=sys.argv[1]),
)
container = isolation.start(spec, 0, 1, 2)
print("started", flush=True)
sys.stdin.read()
"""
    for pid in ("private", "host"):
        program = subprocess.Popen(
            [sys.executable, "-c", script, pid], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        with program:
            assert program.stdout is not None
            assert program.stdout.readline() == "started\n"
            assert cgroups_of(program.pid)
            program.send_signal(signal.SIGKILL)
        for _ in range(500):
            if not cgroups_of(program.pid):
                break
            time.sleep(0.01)
        assert cgroups_of(program.pid) == []


@pytest.mark.parametrize("kind", ["ipc", "uts", "cgroup"])
def test_namespaces_of_the_host(runner: Any, kind: str) -> None:
    script = f"readlink /proc/self/ns/{kind}"
    if runner.own_kernel:
        flag = "--cgroupns" if kind == "cgroup" else f"--{kind}"
        with pytest.raises(IsolationError, match=f"{flag} host: runsc has a kernel of its own"):
            runner.shell(script, namespaces=Namespaces(**{kind: "host"}))
        return
    ours = os.readlink(f"/proc/self/ns/{kind}")
    assert runner.shell(script)[1].strip() != ours
    assert runner.shell(script, namespaces=Namespaces(**{kind: "host"}), hostname="other")[1].strip() == ours


def test_the_hosts_processes_with_its_pid_namespace_and_no_process_that_stays(runner: Any) -> None:
    script = f"test -d /proc/{os.getpid()} && echo seen; sleep 61.5 & (sleep 61.5 &) ; echo $$"
    if runner.isolation.name == "oci":
        with pytest.raises(IsolationError, match="--pid"):
            runner.shell(script, namespaces=Namespaces(pid="host"))
        return
    status, output = runner.shell(script, namespaces=Namespaces(pid="host"))
    seen, pid = output.split()
    assert (status, seen) == (0, "seen")
    assert int(pid) > 2
    assert subprocess.run(["pgrep", "-f", "sleep 61.5"], capture_output=True, check=False).stdout == b""


def test_namespaces_of_others(runner: Any) -> None:
    with subprocess.Popen(
        ["unshare", "--ipc", "--uts", "--net", "--pid", "--fork", "sh", "-c", "hostname joined; echo; exec sleep 600"],
        stdout=subprocess.PIPE,
    ) as holder:
        try:
            assert holder.stdout is not None
            holder.stdout.read(1)
            children = Path(f"/proc/{holder.pid}/task/{holder.pid}/children").read_text().split()
            folder = f"/proc/{children[0]}/ns"
            if runner.own_kernel:
                wanted = Namespaces(network=f"{folder}/net")
                with pytest.raises(IsolationError, match="runsc would take the addresses away"):
                    runner.shell("true", network="private", namespaces=wanted)
                return
            joined = ("ipc", "uts") if runner.isolation.name == "oci" else ("ipc", "uts", "pid")
            wanted = Namespaces(**{kind: f"{folder}/{kind}" for kind in joined}, network=f"{folder}/net")
            listed = " ".join((*joined, "net"))
            script = f"hostname; for kind in {listed}; do readlink /proc/self/ns/$kind; done; ls /proc | grep -c '^1$'"
            status, output = runner.shell(script, namespaces=wanted, network="private")
            assert status == 0
            kinds = [os.readlink(f"{folder}/{kind}") for kind in listed.split()]
            assert output.split() == ["joined", *kinds, "1"]
        finally:
            for child in children:
                os.kill(int(child), signal.SIGKILL)


def test_a_namespace_that_is_none_is_an_error(runner: Any) -> None:
    with pytest.raises(IsolationError, match=r"namespace /etc/passwd|--ipc /etc/passwd: runsc has a kernel of its own"):
        runner.shell("true", namespaces=Namespaces(ipc="/etc/passwd"))
    with pytest.raises(IsolationError, match=r"pid namespace /etc/passwd|--pid"):
        runner.shell("true", namespaces=Namespaces(pid="/etc/passwd"))


def test_devices_work_and_others_do_not(runner: Any) -> None:
    devices = (Device("/dev/zero", "/dev/deep/er/z"), Device("/dev/full", "/etc/full", "rw"))
    script = "head -c 3 /dev/deep/er/z | wc -c; echo x > /etc/full; test -e /dev/kmsg || echo none"
    if runner.own_kernel:
        with pytest.raises(IsolationError, match="--device /dev/zero: runsc has a kernel of its own"):
            runner.shell(script, devices=devices)
        return
    status, output = runner.shell(f"({script}) 2>&1", devices=devices)
    assert status == 0
    assert output.split("\n")[0] == "3"
    assert re.search("No space left", output)
    assert output.endswith("none\n")


def test_a_profile_of_the_users_decides(runner: Any) -> None:
    rule = '{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}'
    profile = parse_profile(f'{{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{rule}]}}'.encode(), "p.json")
    status, output = runner.shell(
        "mkdir /tmp/x; echo $?; unshare -m true && echo free", seccomp=profile, capabilities=("CAP_SYS_ADMIN",)
    )
    # gVisor filters as it is told, but has one errno alone
    assert ("Operation not permitted" if runner.own_kernel else "No space left on device") in output
    if not runner.own_kernel:
        assert status == 0
        assert output.endswith("1\nfree\n")
    rule = (
        '{"name": "mkdir", "action": "SCMP_ACT_KILL_PROCESS"}, {"name": "mkdirat", "action": "SCMP_ACT_KILL_PROCESS"}'
    )
    killer = parse_profile(f'{{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{rule}]}}'.encode(), "p.json")
    if runner.own_kernel:
        with pytest.raises(IsolationError, match="SCMP_ACT_KILL_PROCESS"):
            runner.shell("true", seccomp=killer)
        return
    assert runner.shell("mkdir /tmp/x 2>/dev/null; echo $?", seccomp=killer)[1].split()[-1] == str(128 + signal.SIGSYS)


def test_no_label_where_no_module_is(runner: Any) -> None:
    assert runner.shell("true", apparmor="unconfined")[0] == 0
    if not os.path.exists("/sys/module/apparmor/parameters/enabled"):
        with pytest.raises(IsolationError, match=r"this kernel has no AppArmor|runsc gives its containers no label"):
            runner.shell("true", apparmor="mine")
