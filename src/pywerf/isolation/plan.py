"""Decides how a container is made: a ContainerSpec and the host's facts become a plan. Pure.

A plan is a dict of plain values (marshal and, but for two bytes values, JSON can hold it), which
`pywerf.linux.apply` follows line by line:

    namespaces, stage      clone flags, and the staged kernel file systems: (operation, …, path)
    attach                 (staged name, target) of those that go into the root file system
    pid, cgroup_namespace  whose pid namespace (see Namespaces), and whether a new cgroup namespace follows `cgroups`
    cgroups                files that the container's first process writes 0 into, to join its cgroups
    rootfs                 type, source, flags, data; overlay: lower, folders; bind: recursive, attributes
    mounts                 type, source, target, flags, data, subpath, recursive, attributes
    files                  (target, content, mode)
    read_only, hostname, cwd, terminal, argv, env
    rlimits                (number, soft, hard)
    capabilities, last_capability, no_new_privileges, seccomp, seccomp_flags, uid, gid, groups
    supervision            None, or what the supervisor of system calls needs (`pywerf.linux.supervisor`): filter,
                           everything, real_devices, machine, privileged, capabilities, uid, gid, groups
    user                   None, or the container's own user namespace (see `pywerf.isolation.user_namespace`)
    apparmor, selinux      what is written to the attribute `exec` of either module, or empty

`namespaces` and `stage` do not depend on the image or the command: a spare process has them ready.
"""

from __future__ import annotations

from typing import Any

import msgspec

from pywerf.errors import IsolationError
from pywerf.isolation.spec import ContainerSpec, Device
from pywerf.linux import caps, notify_filter, rlimits, seccomp
from pywerf.linux import syscalls as sys
from pywerf.linux.facts import read_text
from pywerf.linux.mount import Mount

__all__ = [
    "MASKED",
    "READ_ONLY",
    "HostFacts",
    "container_capabilities",
    "host_facts",
    "joined",
    "make_plan",
    "make_template",
    "needs_cgroup",
    "plan_container",
]

Operation = tuple[Any, ...]
Template = tuple[int, list[Operation]]

NOSUID_NOEXEC_NODEV = sys.MS_NOSUID | sys.MS_NOEXEC | sys.MS_NODEV

# What OCI runtimes hide and what they make read-only (runtime-spec config-linux.md; runc's and podman's lists).
MASKED = (
    "proc/acpi",
    "proc/asound",
    "proc/kcore",
    "proc/keys",
    "proc/latency_stats",
    "proc/timer_list",
    "proc/timer_stats",
    "proc/sched_debug",
    "proc/scsi",
    "sys/firmware",
    "sys/devices/virtual/powercap",
)
READ_ONLY = ("proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger")

# runtime-spec config-linux.md#default-devices: (name, major, minor)
DEVICES = (("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0))
DEVICE_LINKS = (
    ("/proc/self/fd", "fd"),
    ("/proc/self/fd/0", "stdin"),
    ("/proc/self/fd/1", "stdout"),
    ("/proc/self/fd/2", "stderr"),
    ("/proc/kcore", "core"),
    ("pts/ptmx", "ptmx"),
)

# mount(8) words: (flags to set, flags to clear)
FLAG_WORDS = {
    "ro": (sys.MS_RDONLY, 0),
    "rw": (0, sys.MS_RDONLY),
    "suid": (0, sys.MS_NOSUID),
    "nosuid": (sys.MS_NOSUID, 0),
    "dev": (0, sys.MS_NODEV),
    "nodev": (sys.MS_NODEV, 0),
    "exec": (0, sys.MS_NOEXEC),
    "noexec": (sys.MS_NOEXEC, 0),
    "sync": (sys.MS_SYNCHRONOUS, 0),
    "async": (0, sys.MS_SYNCHRONOUS),
    "dirsync": (sys.MS_DIRSYNC, 0),
    "atime": (0, sys.MS_NOATIME),
    "noatime": (sys.MS_NOATIME, 0),
    "diratime": (0, sys.MS_NODIRATIME),
    "nodiratime": (sys.MS_NODIRATIME, 0),
    "relatime": (sys.MS_RELATIME, 0),
    "norelatime": (0, sys.MS_RELATIME),
    "strictatime": (sys.MS_STRICTATIME, 0),
    "lazytime": (sys.MS_LAZYTIME, 0),
    "defaults": (0, 0),
}
# Words about propagation: a container's mounts are always private, which is stricter than each of these.
PROPAGATION_WORDS = frozenset(
    f"{prefix}{word}" for prefix in ("", "r") for word in ("private", "slave", "shared", "unbindable")
)
# mount_setattr(2)'s name of a flag that a bind can have of its own.
ATTRIBUTES = (
    (sys.MS_RDONLY, sys.MOUNT_ATTR_RDONLY),
    (sys.MS_NOSUID, sys.MOUNT_ATTR_NOSUID),
    (sys.MS_NODEV, sys.MOUNT_ATTR_NODEV),
    (sys.MS_NOEXEC, sys.MOUNT_ATTR_NOEXEC),
    (sys.MS_NODIRATIME, sys.MOUNT_ATTR_NODIRATIME),
)


class HostFacts(msgspec.Struct, frozen=True):
    """What the host allows; read once by `host_facts`.

    `bounding` is the process's capability bounding set: nothing outside of it can be given away.
    `device_nodes`: mknod(2) makes devices that open (false in a user namespace). `own_sysfs`: sysfs can
    be mounted (false in a user namespace that does not own the network namespace). `one_id`: a user namespace in which
    nobody but root is mapped. `release` is uname's; `apparmor` and `selinux`: the security module is there.
    """

    machine: str
    bounding: int
    last_capability: int = 40
    device_nodes: bool = True
    own_sysfs: bool = True
    one_id: bool = False
    release: str = "5.12"
    apparmor: bool = False
    selinux: bool = False


def host_facts() -> HostFacts:
    """Read the facts of this process's host. Raises IsolationError where /proc is missing."""
    import os

    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as status:
            lines = dict(line.split(":", 1) for line in status if ":" in line)
        with open("/proc/sys/kernel/cap_last_cap", encoding="ascii") as last:
            last_capability = int(last.read())
        with open("/proc/self/uid_map", encoding="ascii") as uid_map:
            ids = uid_map.read().split()
    except OSError as error:
        raise IsolationError(
            f"cannot read the facts of this host: {error}", hint="containers need /proc to be mounted"
        ) from error
    initial = ids == ["0", "0", "4294967295"]
    kernel = os.uname()
    return HostFacts(
        machine=kernel.machine,
        bounding=int(lines["CapBnd"], 16),
        last_capability=last_capability,
        device_nodes=initial,
        own_sysfs=initial,
        one_id=len(ids) == 3 and ids[2] == "1",
        release=kernel.release,
        apparmor=read_text("/sys/module/apparmor/parameters/enabled").startswith("Y"),
        selinux=os.path.exists("/sys/fs/selinux/enforce"),
    )


def make_template(spec: ContainerSpec, facts: HostFacts, *, mapped: bool = False) -> Template:
    """The part of a plan that does not depend on image or command: (namespaces, stage).

    `mapped`: in a user namespace of its own, whose process has joined the namespaces of others before, and has a proc.
    """
    wanted = spec.namespaces
    namespaces = sys.CLONE_NEWNS
    if wanted.uts == "private":
        namespaces |= sys.CLONE_NEWUTS
    if wanted.ipc == "private":
        namespaces |= sys.CLONE_NEWIPC
    if wanted.cgroup == "private" and not needs_cgroup(spec):
        namespaces |= sys.CLONE_NEWCGROUP
    if spec.network == "none" or spec.own_network:
        namespaces |= sys.CLONE_NEWNET
    return namespaces, _stage(spec, facts, mapped=True) if mapped else [*joined(spec), *_stage(spec, facts)]


def needs_cgroup(spec: ContainerSpec) -> bool:
    """Whether the container has a cgroup of its own; it is joined before there is a cgroup namespace around it."""
    return spec.resources.limited or bool(spec.cgroup_parent)


def joined(spec: ContainerSpec) -> list[Operation]:
    """The namespaces of others, before anything is mounted that shows what is in them."""
    kinds = [(sys.CLONE_NEWUTS, spec.namespaces.uts), (sys.CLONE_NEWIPC, spec.namespaces.ipc)]
    if spec.network == "private":
        kinds.append((sys.CLONE_NEWNET, spec.namespaces.network))
    return [("namespace", kind, path) for kind, path in kinds if path.startswith("/")]


def _stage(spec: ContainerSpec, facts: HostFacts, *, mapped: bool = False) -> list[Operation]:
    """/dev, /proc and /sys as operations of `pywerf.linux.apply` on the staging area."""
    stage: list[Operation] = [
        ("directory", 0o755, "empty"),
        ("mount", "tmpfs", "tmpfs", sys.MS_RDONLY | NOSUID_NOEXEC_NODEV, "size=0k,mode=755", "empty"),
        ("directory", 0o755, "dev"),
    ]
    if spec.privileged and facts.device_nodes:
        stage.append(("bind", "/dev", "dev"))
    else:
        stage += _minimal_dev(spec, facts)
    stage.append(("directory", 0o555, "proc"))
    if mapped:
        stage.append(("carried", "proc", "proc"))
    elif spec.namespaces.pid == "private" or facts.device_nodes:
        stage.append(("mount", "proc", "proc", NOSUID_NOEXEC_NODEV, "", "proc"))
    else:
        stage.append(("bind", "/proc", "proc"))  # in a user namespace others' pid namespaces cannot be mounted
    stage.append(("directory", 0o555, "sys"))
    sys_flags = NOSUID_NOEXEC_NODEV | (0 if spec.privileged else sys.MS_RDONLY)
    if facts.own_sysfs or spec.network == "none" or spec.own_network:
        stage.append(("mount", "sysfs", "sysfs", sys_flags, "", "sys"))
    else:
        stage.append(("bind", "/sys", "sys"))
        if not spec.privileged:
            stage.append(("read-only", "sys"))
    if not spec.privileged:
        stage += [("mask", path) for path in MASKED]
        stage += [("read-only", path) for path in READ_ONLY]
    return stage


def _minimal_dev(spec: ContainerSpec, facts: HostFacts) -> list[Operation]:
    """A /dev where only its own nodes open.

    Docker's default capabilities have CAP_MKNOD, and there is no device cgroup here: a node of the
    host's disk must not work. So every file system in a container is `nodev`, /dev too, and its nodes
    are bound from a tmpfs that the container cannot reach.
    """
    dev_flags = sys.MS_NOSUID | sys.MS_NODEV | sys.MS_STRICTATIME
    stage: list[Operation] = [("mount", "tmpfs", "tmpfs", dev_flags, "mode=755,size=65536k", "dev")]
    source = "/dev"
    if facts.device_nodes:
        source = "nodes"
        nodes_flags = sys.MS_NOSUID | sys.MS_NOEXEC
        stage += [("directory", 0o700, "nodes"), ("mount", "tmpfs", "tmpfs", nodes_flags, "mode=700", "nodes")]
        stage += [("device", major, minor, 0o666, f"nodes/{name}") for name, major, minor in DEVICES]
    stage += [("bound-device", f"{source}/{name}", f"dev/{name}") for name, _, _ in DEVICES]
    stage += [("symlink", target, f"dev/{name}") for target, name in DEVICE_LINKS]
    # Group 5 is tty everywhere; a user namespace may not have it mapped.
    devpts = "newinstance,ptmxmode=0666,mode=0620" + (",gid=5" if facts.device_nodes else "")
    stage += [
        ("directory", 0o755, "dev/pts"),
        ("mount", "devpts", "devpts", sys.MS_NOSUID | sys.MS_NOEXEC, devpts, "dev/pts"),
        ("directory", 0o1777, "dev/shm"),
    ]
    if spec.namespaces.ipc == "host":
        stage.append(("bind", "/dev/shm", "dev/shm"))
    else:
        size = f"mode=1777,size={spec.shm_size}"
        stage.append(("mount", "tmpfs", "shm", NOSUID_NOEXEC_NODEV, size, "dev/shm"))
    if spec.namespaces.ipc == "private" or facts.device_nodes:  # in a user namespace only one's own can be mounted
        stage += [
            ("directory", 0o755, "dev/mqueue"),
            ("mount", "mqueue", "mqueue", NOSUID_NOEXEC_NODEV, "", "dev/mqueue"),
        ]
    return stage


def make_plan(
    spec: ContainerSpec, facts: HostFacts, cgroups: tuple[str, ...] = (), user: dict[str, Any] | None = None
) -> dict[str, Any]:
    """The whole plan of a container that joins `cgroups`. Raises IsolationError for what chroot isolation cannot do.

    `user` is its own user namespace, as `plan_container` has it.
    """
    if spec.own_network:
        raise IsolationError(
            "chroot isolation has no private network",
            hint="--isolation oci has (crun, runc, runsc); or use --network host or --network none",
        )
    return plan_container(spec, facts, cgroups, user)


def plan_container(
    spec: ContainerSpec, facts: HostFacts, cgroups: tuple[str, ...] = (), user: dict[str, Any] | None = None
) -> dict[str, Any]:
    """What all isolations share of a plan. Raises IsolationError for what no container can be.

    `user` is the user namespace that is the container's own, which `user_namespace.plan_user` decides; the facts are
    those in there then.
    """
    if not spec.argv:
        raise IsolationError("no command to run", hint="give one, or use an image with an entrypoint or a cmd")
    if "\0" in "".join((*spec.argv, *spec.env, spec.cwd)):
        raise IsolationError("a command, variable or working directory contains a NUL byte")
    _refuse(spec, facts)
    capabilities = container_capabilities(spec, facts)
    namespaces, stage = make_template(spec, facts, mapped=user is not None)
    # Root of a user namespace shall open no device, whatever else it may: it is not the machine's root.
    nodev = not spec.privileged or user is not None
    return {
        "namespaces": namespaces,
        "stage": stage,
        "pid": spec.namespaces.pid,
        "cgroups": list(cgroups),
        "cgroup_namespace": needs_cgroup(spec) and spec.namespaces.cgroup == "private",
        "attach": [("proc", "/proc"), ("sys", "/sys"), ("dev", "/dev")],
        "rootfs": plan_mount(spec.rootfs, nodev=nodev),
        "mounts": [
            *(plan_mount(_device_mount(device)) for device in spec.devices),
            *(plan_mount(mount, nodev=nodev) for mount in spec.mounts),
        ],
        "files": list(spec.files),
        "read_only": spec.read_only,
        "hostname": spec.hostname if spec.namespaces.uts == "private" else "",
        "cwd": spec.cwd or "/",
        "terminal": spec.terminal,
        "argv": list(spec.argv),
        "env": list(spec.env),
        "rlimits": [(rlimits.NUMBERS[limit.type], limit.soft, limit.hard) for limit in spec.rlimits],
        "capabilities": capabilities,
        "last_capability": facts.last_capability,
        "no_new_privileges": spec.no_new_privileges,
        "seccomp": _seccomp(spec, facts, capabilities),
        "seccomp_flags": _seccomp_flags(spec),
        "apparmor": spec.apparmor,
        "selinux": spec.selinux_label,
        "uid": spec.uid,
        "gid": spec.gid,
        "groups": list(spec.groups),
        "supervision": _supervision(spec, facts, capabilities, real_devices=user is not None),
        "user": user,
    }


def _supervision(
    spec: ContainerSpec, facts: HostFacts, capabilities: int, *, real_devices: bool
) -> dict[str, Any] | None:
    """In a user namespace devices are made by a supervisor; where there is one id alone it gives all owners too."""
    if facts.device_nodes or spec.namespaces.pid != "private":
        return None  # the supervisor could not tell the processes of a pid namespace that is none of its own's
    program = notify_filter.compile_filter(facts.machine, everything=facts.one_id)
    if not program:
        return None
    return {
        "filter": program,
        "everything": facts.one_id,
        "real_devices": real_devices,
        "machine": facts.machine,
        "privileged": spec.privileged,
        "capabilities": capabilities,
        "uid": spec.uid,
        "gid": spec.gid,
        "groups": list(spec.groups),
    }


def _refuse(spec: ContainerSpec, facts: HostFacts) -> None:
    """Raise IsolationError for what no isolation does, and for modules that this kernel has not."""
    if facts.one_id and spec.namespaces.pid != "private":
        raise IsolationError(
            f"--pid {spec.namespaces.pid}: in a user namespace with one id a container has a pid namespace of its own",
            hint="leave it out, or get a range of subordinate ids (see `werf host doctor`)",
        )
    for device in spec.devices:
        if not {"r", "w"} <= set(device.permissions):
            raise IsolationError(
                f"--device {device.source}: a container cannot be given {device.permissions} alone, only rw and rwm",
                hint="leave the permissions out",
            )
    if spec.apparmor and spec.apparmor != "unconfined" and not facts.apparmor:
        raise IsolationError(
            f"--security-opt apparmor={spec.apparmor}: this kernel has no AppArmor", hint="leave it out"
        )
    if spec.selinux_label and not facts.selinux:
        raise IsolationError("--security-opt label: this kernel has no SELinux", hint="leave it out")


def _device_mount(device: Device) -> Mount:
    return Mount("bind", device.source, device.target, ("bind", "dev", "nosuid", "noexec"))


def container_capabilities(spec: ContainerSpec, facts: HostFacts) -> int:
    """A container's capabilities as a bit mask: what is asked for, of what this process may give away."""
    if spec.privileged:
        return facts.bounding & (1 << len(caps.NAMES)) - 1
    return facts.bounding & caps.mask(caps.DOCKER_DEFAULT if spec.capabilities is None else spec.capabilities)


def _seccomp(spec: ContainerSpec, facts: HostFacts, capabilities: int) -> bytes:
    if spec.privileged or spec.seccomp == "unconfined":
        return b""
    names = frozenset(caps.names(capabilities))
    if isinstance(spec.seccomp, str):
        return seccomp.compile_default(facts.machine, names)
    from pywerf.linux.seccomp_rules import compile_profile

    return compile_profile(spec.seccomp, facts.machine, names, facts.release)


def _seccomp_flags(spec: ContainerSpec) -> int:
    if isinstance(spec.seccomp, str):
        return sys.SECCOMP_FILTER_FLAG_SPEC_ALLOW
    from pywerf.linux.seccomp_rules import filter_flags

    return filter_flags(spec.seccomp)


def plan_mount(mount: Mount, *, nodev: bool = True) -> dict[str, Any]:
    """A mount with its mount(8) words sorted into flags, data and what a bind needs.

    `nodev` is the default that the word `dev` overrides; a device that is bound itself works anyway.
    """
    flags, data, recursive, bind = sys.MS_NODEV * nodev, [], False, mount.type in ("bind", "rbind")
    for word in mount.options:
        if word in ("bind", "rbind"):
            bind = True
            recursive |= word == "rbind"
        elif word in FLAG_WORDS:
            flags = (flags | FLAG_WORDS[word][0]) & ~FLAG_WORDS[word][1]
        elif word not in PROPAGATION_WORDS:
            data.append(word)
    recursive |= mount.type == "rbind"
    plan: dict[str, Any] = {
        "type": "bind" if bind else mount.type,
        "source": mount.source,
        "target": mount.target,
        "flags": flags,
        "data": "",
        "subpath": mount.subpath.strip("/"),
    }
    if bind:
        if data:
            raise IsolationError(f"mount of {mount.target or '/'}: a bind has no option {data[0]}")
        return plan | {"recursive": recursive, "attributes": _attributes(flags)}
    if mount.type == "overlay":
        return plan | _plan_overlay(data)
    if mount.type == "tree":
        return plan | {"recursive": False, "attributes": _attributes(flags)}
    plan["data"] = ",".join(data)
    return plan


def _attributes(flags: int) -> int:
    """mount_setattr(2)'s form of MS_* flags; only settings, a bind inherits the rest."""
    attributes = 0
    for flag, attribute in ATTRIBUTES:
        if flags & flag:
            attributes |= attribute
    return attributes


def _plan_overlay(words: list[str]) -> dict[str, Any]:
    """Overlay's folders apart from its other options; `\\:` in lowerdir is a colon of a name."""
    lower: list[str] = []
    folders: dict[str, str] = {}
    others = []
    for word in words:
        key, _, value = word.partition("=")
        if key == "lowerdir":
            lower = [part.replace("\0", ":") for part in value.replace("\\:", "\0").split(":")]
        elif key in ("upperdir", "workdir"):
            folders[key] = value
        else:
            others.append(word)
    return {"lower": lower, "folders": folders, "data": ",".join(others)}
