"""config.json and the plan around it, for runtimes, cgroups and user namespaces."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest

from pywerf.errors import IsolationError
from pywerf.isolation.bundle import RuntimeFacts, make_bundle_plan, make_bundle_template, make_config
from pywerf.isolation.hooks import Conditions, Hook
from pywerf.isolation.plan import HostFacts
from pywerf.isolation.runtimes import ADAPTERS, find_runtime
from pywerf.isolation.spec import ContainerSpec, Device, IdMap, Namespaces, Resources, Rlimit
from pywerf.isolation.user_namespace import RootIds
from pywerf.linux import caps, seccomp
from pywerf.linux import syscalls as sys
from pywerf.linux.mount import Mount
from pywerf.linux.seccomp_profile import parse_profile
from pywerf.linux.stage import STAGE

HOST = HostFacts("x86_64", (1 << 41) - 1)
INSIDE = HostFacts("x86_64", (1 << 41) - 1, device_nodes=False, own_sysfs=False)
ROOT = RuntimeFacts(HOST, "v2", "/sys/fs/cgroup", (1024, 4096), "/bin/mount")
USER = RuntimeFacts(INSIDE, "v2", "/sys/fs/cgroup", (1024, 4096))


def spec(**fields: Any) -> ContainerSpec:
    return ContainerSpec(rootfs=Mount("bind", "/image"), argv=("true",), **fields)


def config(name: str = "runc", facts: RuntimeFacts = ROOT, **fields: Any) -> dict[str, Any]:
    return make_config(spec(**fields), facts, ADAPTERS[name])


@pytest.mark.parametrize(
    ("cgroups", "name", "operations"),
    [
        ("hybrid", "crun", [("mount", "/cg/unified")]),
        ("v1", "crun", []),
        ("v2", "crun", []),
        ("none", "crun", []),
        ("hybrid", "runc", [("read-only", "/sys/fs/cgroup")]),
        ("v2", "runc", [("read-only", "/sys/fs/cgroup")]),
        ("hybrid", "runsc", []),
    ],
)
def test_what_a_runtime_sees_of_cgroups(cgroups: str, name: str, operations: list[tuple[str, str]]) -> None:
    runtime = find_runtime(name, lambda name: name)
    plan = make_bundle_plan(spec(), RuntimeFacts(HOST, cgroups, "/cg/unified", mount="/bin/mount"), runtime, "name")
    assert [(operation[0], operation[-1]) for operation in plan["runtime"]["view"]] == operations


def test_the_runtime_makes_the_names_and_cgroups_itself() -> None:
    namespaces, stage = make_bundle_template(spec(network="none"), ROOT, ADAPTERS["runc"])
    assert namespaces == sys.CLONE_NEWNS | sys.CLONE_NEWIPC | sys.CLONE_NEWNET
    assert (*stage[-1][:2], stage[-1][-1]) == ("mount", "proc", "/proc")
    assert [entry["type"] for entry in config()["linux"]["namespaces"]] == ["pid", "mount", "uts", "cgroup"]


def test_a_process() -> None:
    process = config(
        env=("A=b",), cwd="/w", uid=5, gid=6, groups=(6, 7), rlimits=(Rlimit("core", 0, -1),), terminal=True
    )["process"]
    assert process["user"] == {"uid": 5, "gid": 6, "umask": 0o022, "additionalGids": [6, 7]}
    assert (process["args"], process["env"], process["cwd"], process["terminal"]) == (["true"], ["A=b"], "/w", True)
    assert process["rlimits"] == [
        {"type": "RLIMIT_NOFILE", "soft": 1024, "hard": 4096},
        {"type": "RLIMIT_CORE", "soft": 0, "hard": (1 << 64) - 1},
    ]
    assert process["capabilities"]["bounding"] == sorted(caps.DOCKER_DEFAULT)
    assert process["capabilities"]["effective"] == process["capabilities"]["permitted"] == []
    assert config()["process"]["capabilities"]["effective"] == sorted(caps.DOCKER_DEFAULT)


def test_a_given_limit_of_open_files_counts_once() -> None:
    limits = config(rlimits=(Rlimit("nofile", 10, 20),))["process"]["rlimits"]
    assert limits == [{"type": "RLIMIT_NOFILE", "soft": 10, "hard": 20}]


def test_kernel_paths_are_masked_but_for_the_privileged() -> None:
    linux = config()["linux"]
    assert "/proc/kcore" in linux["maskedPaths"]
    assert "/proc/sys" in linux["readonlyPaths"]
    privileged = config(privileged=True)
    assert not {"maskedPaths", "readonlyPaths", "seccomp"} & set(privileged["linux"])
    assert privileged["process"]["capabilities"]["effective"] == sorted(caps.NAMES)


def test_the_filter_as_rules_and_for_crun_as_the_program_too() -> None:
    rules = config()["linux"]["seccomp"]
    assert (rules["defaultAction"], rules["defaultErrnoRet"]) == ("SCMP_ACT_ERRNO", 1)
    assert "seccomp" not in config(seccomp="unconfined")["linux"]
    plan = make_bundle_plan(spec(), ROOT, find_runtime("crun", lambda name: name), "name")
    program = msgspec.json.decode(plan["runtime"]["config"])["annotations"]["run.oci.seccomp_bpf_data"]
    assert base64.b64decode(program) == seccomp.compile_default("x86_64", frozenset(caps.DOCKER_DEFAULT))


def test_crun_gets_its_root_file_system_back_without_devices() -> None:
    (hook,) = config("crun")["hooks"]["createContainer"]
    assert hook["args"][3:] == ["/bin/mount", "remount,bind,nodev", f"{STAGE}/root"]
    (hook,) = config("crun", read_only=True)["hooks"]["createContainer"]
    assert hook["args"][4] == "remount,bind,nodev,ro"
    # In a user namespace nobody makes device nodes; runc leaves the flags as they are.
    assert "hooks" not in config("crun", USER)
    assert "hooks" not in config("crun", privileged=True)
    assert "hooks" not in config("runc")
    with pytest.raises(IsolationError, match=r"mount\(8\) is not installed"):
        config("crun", RuntimeFacts(HOST, "v2", "/sys/fs/cgroup"))


def test_the_plan_is_that_of_chroot_isolation_with_a_runtime() -> None:
    runtime = find_runtime("crun", lambda name: f"/bin/{name}")
    plan = make_bundle_plan(spec(terminal=True), ROOT, runtime, "name", window=(80, 24))
    assert plan["attach"] == [("proc", "/proc"), ("sys", "/sys"), ("dev", "/dev")]
    assert plan["runtime"]["argv"][0] == "/bin/crun"
    assert plan["runtime"]["argv"][-1] == "name"
    written = msgspec.json.decode(plan["runtime"]["config"])
    assert written["process"]["consoleSize"] == {"width": 80, "height": 24}
    assert written["root"] == {"path": f"{STAGE}/root", "readonly": False}


def test_a_profile_of_the_users_becomes_rules() -> None:
    profile = parse_profile(
        b'{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, "archMap": [{"architecture": "SCMP_ARCH_X86_64",'
        b'"subArchitectures": ["SCMP_ARCH_X86"]}],'
        b'"syscalls": [{"names": ["read", "write"], "action": "SCMP_ACT_ALLOW",'
        b'"args": [{"index": 1, "value": 5, "op": "SCMP_CMP_EQ"}]}, {"names": ["bpf"], "action": "SCMP_ACT_ALLOW",'
        b'"includes": {"caps": ["CAP_BPF"]}}]}',
        "profile.json",
    )
    assert config(seccomp=profile)["linux"]["seccomp"] == {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 38,
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
        "flags": [],
        "syscalls": [
            {
                "names": ["read", "write"],
                "action": "SCMP_ACT_ALLOW",
                "args": [{"index": 1, "value": 5, "valueTwo": 0, "op": "SCMP_CMP_EQ"}],
            }
        ],
    }


def test_limits_are_those_of_the_cgroup_that_the_runtime_is_started_in() -> None:
    joined = ("/sys/fs/cgroup/a/b/cgroup.procs",)
    limited = spec(resources=Resources(memory=1 << 20))
    plan = make_bundle_plan(limited, ROOT, find_runtime("runc", lambda name: name), "name", cgroups=joined)
    assert plan["cgroups"] == list(joined)
    assert "resources" not in msgspec.json.decode(plan["runtime"]["config"])["linux"]


@pytest.mark.parametrize(
    ("wanted", "kinds"),
    [
        (Namespaces(), ["pid", "mount", "uts", "cgroup"]),
        (Namespaces(uts="host"), ["pid", "mount", "cgroup"]),
        (Namespaces(uts="/proc/1/ns/uts", cgroup="host"), ["pid", "mount"]),
    ],
)
def test_namespaces_of_others_are_joined_before(wanted: Namespaces, kinds: list[str]) -> None:
    made = config(namespaces=wanted, hostname="name")
    assert [entry["type"] for entry in made["linux"]["namespaces"]] == kinds
    assert ("hostname" in made) == ("uts" in kinds)


def test_namespaces_that_cannot_be() -> None:
    for wanted, facts in ((Namespaces(pid="host"), ROOT), (Namespaces(user="private"), USER)):
        with pytest.raises(IsolationError, match=r"--pid|--userns"):
            make_bundle_plan(spec(namespaces=wanted), facts, find_runtime("crun", lambda name: name), "name")


def test_in_a_user_namespace_of_its_own_a_container_finds_all_in_the_staging_area_that_its_root_can_reach() -> None:
    ids = RootIds((IdMap(0, 100_000, 65_536),), (IdMap(0, 100_000, 65_536),))
    facts = msgspec.structs.replace(ROOT, stage="/var/tmp")
    runtime = find_runtime("crun", lambda name: name)
    plan = make_bundle_plan(spec(), facts, runtime, "name", ids=ids)
    assert plan["user"]["stage"] == "/var/tmp"
    assert [name for name, _ in plan["user"]["carried"]] == ["proc", "own-proc"]
    assert {operation[1] for operation in plan["stage"] if operation[0] == "carried"} == {"proc", "own-proc"}
    assert not [operation for operation in plan["stage"] if operation[:2] == ("mount", "proc")]
    written = msgspec.json.decode(plan["runtime"]["config"])
    assert written["root"]["path"] == "/var/tmp/root"
    assert "/var/tmp/state" in plan["runtime"]["argv"]
    assert plan["supervision"]["real_devices"]
    assert "hooks" not in written  # the kernel keeps the flags of its mounts
    assert make_bundle_plan(spec(), facts, runtime, "name")["user"] is None
    host = spec(namespaces=Namespaces(user="host"))
    assert make_bundle_plan(host, facts, runtime, "name", ids=ids)["user"] is None


def test_labels() -> None:
    process = config(apparmor="mine", selinux_label="a:b:c:s0")["process"]
    assert (process["apparmorProfile"], process["selinuxLabel"]) == ("mine", "a:b:c:s0")
    assert "apparmorProfile" not in config(apparmor="unconfined")["process"]


def test_what_json_cannot_hold_is_an_error() -> None:
    runtime = find_runtime("crun", lambda name: f"/bin/{name}")
    with pytest.raises(IsolationError, match="not UTF-8"):
        make_bundle_plan(spec(env=("A=\udcff",)), ROOT, runtime, "name")


def runsc_plan(**fields: Any) -> dict[str, Any]:
    facts = msgspec.structs.replace(ROOT, connectors=("/bin/pasta",), hostname="machine")
    return make_bundle_plan(spec(**fields), facts, find_runtime("runsc", lambda name: f"/bin/{name}"), "name")


def test_limits_that_a_kernel_of_its_own_has_not() -> None:
    assert b"RLIMIT_CORE" in runsc_plan(rlimits=(Rlimit("core", 0, 0),))["runtime"]["config"]
    with pytest.raises(IsolationError, match="ulimit nice: runsc has a kernel of its own, which has no such limit"):
        runsc_plan(rlimits=(Rlimit("nice", 0, 0),))


def test_memory_that_a_kernel_of_its_own_does_not_start_in() -> None:
    assert runsc_plan(resources=Resources(memory=32 << 20))
    with pytest.raises(
        IsolationError, match="--memory 33554431: the kernel of runsc alone needs some 32 MiB"
    ) as caught:
        runsc_plan(resources=Resources(memory=(32 << 20) - 1))
    assert "--memory 64m or more" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"devices": (Device("/dev/fuse", "/dev/fuse"),)}, "--device /dev/fuse: "),
        ({"mounts": (Mount("tmpfs", "tmpfs", "/dev/../dev/pipes"),)}, "/dev/../dev/pipes: "),
        ({"files": (("/proc/x", b"", 0o644),)}, "/proc/x: "),
        ({"mounts": (Mount("bind", "/a", "/b", ("ro", "noexec")),)}, "mount of /b: "),
        ({"namespaces": Namespaces(ipc="host")}, "--ipc host: "),
        ({"namespaces": Namespaces(uts="/proc/1/ns/uts")}, "--uts /proc/1/ns/uts: "),
        ({"namespaces": Namespaces(cgroup="host")}, "--cgroupns host: "),
        ({"network": "private", "namespaces": Namespaces(network="/proc/1/ns/net")}, "--network ns:/proc/1/ns/net: "),
        ({"apparmor": "mine"}, "--security-opt apparmor=mine: "),
        ({"selinux_label": "u:r:t:s0"}, "--security-opt label: "),
    ],
)
def test_what_a_kernel_of_its_own_cannot_do_is_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(IsolationError) as caught:
        runsc_plan(**fields)
    assert str(caught.value).startswith(f"{said}runsc ")
    assert "--runtime crun" in str(caught.value.hint)


def test_a_kernel_of_its_own_is_told_what_it_cannot_see() -> None:
    made = msgspec.json.decode(runsc_plan(shm_size=5 << 20, apparmor="unconfined")["runtime"]["config"])
    assert made["hostname"] == "machine"
    assert [mount["destination"] for mount in made["mounts"]] == ["/proc", "/dev/shm"]
    assert "size=5242880" in made["mounts"][1]["options"]
    assert "hostname" not in config("crun", msgspec.structs.replace(ROOT, hostname="machine"))


def test_a_kernel_of_its_own_takes_over_a_private_network() -> None:
    plan = runsc_plan(network="private")["runtime"]
    assert [(operation[0], operation[-1]) for operation in plan["view"]] == [("mount", "/proc/sys/net/core")]
    networks = [one for one in msgspec.json.decode(plan["config"])["linux"]["namespaces"] if one["type"] == "network"]
    assert networks == [{"type": "network", "path": "/proc/self/ns/net"}]
    assert "--network=sandbox" in plan["argv"]
    for network in ("host", "none"):
        plan = runsc_plan(network=network)["runtime"]
        assert plan["view"] == []
        assert b'"network"' not in plan["config"]
        assert f"--network={network}" in plan["argv"]


def test_a_runtime_that_stays_is_asked_to_pass_signals_on() -> None:
    plan = runsc_plan()["runtime"]
    assert plan["kill"][0] == "/bin/runsc"
    assert plan["kill"][-2:] == ["kill", "name"]
    assert set(plan["kill"][1:-2]) - set(plan["argv"]) == {"/dev/null"}
    crun = make_bundle_plan(spec(), ROOT, find_runtime("crun", lambda name: name), "name")["runtime"]
    assert (crun["detaches"], crun["kill"]) == (True, [])


@pytest.mark.parametrize(
    ("name", "facts", "supervised"),
    [("crun", USER, True), ("runc", USER, True), ("runsc", USER, False), ("youki", USER, False), ("crun", ROOT, False)],
)
def test_in_a_user_namespace_a_runtime_that_can_passes_on_who_makes_devices(
    name: str, facts: RuntimeFacts, supervised: bool
) -> None:
    plan = make_bundle_plan(spec(), facts, find_runtime(name, lambda name: name), "name")
    assert (plan["supervision"] is not None) == supervised
    written = msgspec.json.decode(plan["runtime"]["config"])
    rules = written["linux"]["seccomp"]
    assert rules.get("listenerPath", "").startswith("/proc/self/cwd/") == supervised
    assert any(rule["action"] == "SCMP_ACT_NOTIFY" for rule in rules["syscalls"]) == supervised
    if name == "crun":
        program = base64.b64decode(written["annotations"]["run.oci.seccomp_bpf_data"])
        assert (program == plan["seccomp"]) == (not supervised)


@pytest.mark.parametrize("seccomp", ["unconfined", parse_profile(b'{"defaultAction": "SCMP_ACT_ALLOW"}', "file")])
def test_other_profiles_are_rules_where_a_supervisor_is_asked(seccomp: Any) -> None:
    plan = make_bundle_plan(spec(seccomp=seccomp), USER, find_runtime("crun", lambda name: name), "name")
    written = msgspec.json.decode(plan["runtime"]["config"])
    assert "annotations" not in written
    assert {"names": ["chroot"], "action": "SCMP_ACT_NOTIFY"} in written["linux"]["seccomp"]["syscalls"]


HOOKS = (
    Hook("/a", ("a", "-v"), stages=("prestart", "createContainer"), when=Conditions(always=True)),
    Hook("/b", stages=("poststop",), when=Conditions(commands=("sh$",))),
    Hook("/c", stages=("prestart",), when=Conditions(bind_mounts=True)),
)


def test_hooks() -> None:
    assert "hooks" not in config()
    assert config(hooks=HOOKS)["hooks"] == {
        "prestart": [{"path": "/a", "args": ["a", "-v"]}],
        "createContainer": [{"path": "/a", "args": ["a", "-v"]}],
    }
    assert config(hooks=HOOKS, volumes=True)["hooks"]["prestart"][1:] == [{"path": "/c"}]
    own, theirs = config("crun", hooks=HOOKS)["hooks"]["createContainer"]
    assert (own["path"], theirs["path"]) == ("/bin/sh", "/a")  # ours makes the container safe, and comes first


@pytest.mark.parametrize(
    ("name", "argv", "deletes"),
    [("crun", "sh", True), ("runc", "sh", True), ("runc", "true", False), ("runsc", "sh", False)],
)
def test_a_runtime_that_is_gone_is_called_for_the_hooks_of_the_end(name: str, argv: str, deletes: bool) -> None:
    runtime = find_runtime(name, lambda name: f"/bin/{name}")
    one = ContainerSpec(rootfs=Mount("bind", "/image"), argv=(argv,), hooks=HOOKS)
    words = make_bundle_plan(one, ROOT, runtime, "the-name")["runtime"]["delete"]
    assert words[-2:] == (["delete", "the-name"] if deletes else [])
