"""What an OCI runtime is told: a ContainerSpec as config.json (runtime-spec 1.0.2), and the plan around it. Pure.

The root file system, and all that is mounted into it, is made by the launcher's child before the runtime starts, as
for chroot isolation: in a mount namespace that ends with the container, and by code that trusts no symlink of an
image. The runtime finds it ready, and adds what only it can: processes of their own with their /proc.
"""

from __future__ import annotations

import base64
from typing import Any

import msgspec

from pywerf.errors import IsolationError
from pywerf.isolation.bundle_seccomp import default_rules, notify_about_devices, profile_rules
from pywerf.isolation.hooks import injected
from pywerf.isolation.own_kernel import check_own_kernel
from pywerf.isolation.plan import (
    MASKED,
    READ_ONLY,
    HostFacts,
    container_capabilities,
    make_template,
    plan_container,
)
from pywerf.isolation.private_network import make_connector_plan
from pywerf.isolation.runtimes import Adapter, Runtime, command_line, delete_command, kill_command
from pywerf.isolation.spec import ContainerSpec
from pywerf.isolation.user_namespace import RootIds, facts_inside, plan_user
from pywerf.linux import caps, notify_filter
from pywerf.linux import syscalls as sys
from pywerf.linux.runtime import NOTIFICATIONS
from pywerf.linux.stage import STAGE

__all__ = ["RuntimeFacts", "make_bundle_plan", "make_bundle_template", "make_config"]

SPEC_VERSION = "1.0.2"
UNLIMITED = (1 << 64) - 1
DEV_OPTIONS = ["rbind", "rprivate", "nosuid", "nodev"]
NOSUID_NOEXEC_NODEV = sys.MS_NOSUID | sys.MS_NOEXEC | sys.MS_NODEV
# The runtime's own environment; the container's is in the bundle.
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}

# The runtime's working folder is the bundle. The path has to be absolute, and an address has room for 107 bytes.
LISTENER = f"/proc/self/cwd/{NOTIFICATIONS.rpartition('/')[2]}"

OWN_PROC = "own-proc"
_CARRIED = (("proc", "proc"), (OWN_PROC, "proc"))
HOST_PROC = "host-proc"  # in the staging area

Operation = tuple[Any, ...]


class RuntimeFacts(msgspec.Struct, frozen=True):
    """What a bundle depends on besides the host's own facts.

    `cgroups` is `v1`, `v2`, `hybrid` or `none`, `unified` where v2 is mounted; `nofile` the process's own limit of open
    files, which programs written in Go raise for themselves and for what they start; `mount` the program mount(8), or
    empty; `connectors` the programs that connect private networks, the first that is to be taken first; `hostname` the
    host's name, which a kernel of its own does not know.
    """

    host: HostFacts
    cgroups: str = "none"
    unified: str = ""
    nofile: tuple[int, int] = (1024, 1024)
    mount: str = ""
    connectors: tuple[str, ...] = ()
    hostname: str = ""
    stage: str = STAGE  # of containers in a user namespace of their own


def make_bundle_template(
    spec: ContainerSpec, facts: RuntimeFacts, adapter: Adapter, *, mapped: bool = False
) -> tuple[int, list[Operation]]:
    """The part of a plan that does not depend on image or command, as `make_template` has it."""
    namespaces, stage = make_template(spec, facts.host, mapped=mapped)
    # These the runtime makes itself, below a cgroup of its own making and with the name that it is told.
    namespaces &= ~(sys.CLONE_NEWCGROUP | sys.CLONE_NEWUTS)
    # It must find its own processes in /proc, whose pid namespace is not that of the host. Detached mounts are paths of
    # other processes' descriptors, which only the host's knows.
    own: list[Operation] = [
        ("directory", 0o700, HOST_PROC),
        ("bind", "/proc", HOST_PROC),
        ("carried", OWN_PROC, "/proc") if mapped else ("mount", "proc", "proc", NOSUID_NOEXEC_NODEV, "", "/proc"),
    ]
    return namespaces, [*stage, *own]


def make_bundle_plan(
    spec: ContainerSpec,
    facts: RuntimeFacts,
    runtime: Runtime,
    name: str,
    *,
    cgroups: tuple[str, ...] = (),
    window: tuple[int, int] | None = None,
    ids: RootIds | None = None,
) -> dict[str, Any]:
    """The launcher's plan (see `pywerf.isolation.plan`) with `runtime`, what its child does with a runtime:

        argv, env, config    the words that start it, its environment, the content of config.json
        config_with_tmp      the same for an image that has a folder /tmp, where that makes a difference
        view                 operations on what it sees of the machine, once `cgroups` are joined
        detaches             whether it leaves the container alone
        kill                 of one that stays: the words that send the container a signal, whose number comes last
        delete               of one that does not: the words that have it run the hooks of the container's end, if any
        connector            None, or what connects a private network (see `pywerf.isolation.private_network`)

    `name` is the container's, `window` the size (columns, lines) of its terminal, `ids` root's own ranges: with them
    containers have a user namespace of their own where nothing else is asked for.
    Raises IsolationError for what no container can be, or the runtime cannot do.
    """
    if spec.namespaces.pid != "private":
        raise IsolationError(
            "--pid: a container of an OCI runtime always has processes of its own", hint="--isolation chroot can"
        )
    try:
        "".join((*spec.argv, *spec.env, spec.cwd)).encode()
    except UnicodeEncodeError as error:
        raise IsolationError(
            "a command, variable or working directory is not UTF-8, which an OCI bundle has to be",
            hint="chroot isolation takes any bytes: --isolation chroot",
        ) from error
    if runtime.adapter.own_kernel:
        check_own_kernel(spec, runtime)
    stage = STAGE
    user = plan_user(spec, facts.host, ids, always=True, stage=facts.stage, carried=_CARRIED)
    if user is not None:
        stage = facts.stage
        facts = msgspec.structs.replace(facts, host=facts_inside(facts.host))
    plan = plan_container(spec, facts.host, cgroups, user)
    if not runtime.adapter.notifies:
        plan["supervision"] = None
    supervised = plan["supervision"] is not None
    config = make_config(spec, facts, runtime.adapter, stage=stage, supervised=supervised)
    program = _program(spec, plan, facts.host.machine)
    if program and runtime.adapter.raw_filter:
        # The very program that chroot isolation has, without compiling the rules for every container.
        config["annotations"] = {runtime.adapter.raw_filter: base64.b64encode(program).decode()}
    if window is not None:
        config["process"]["consoleSize"] = {"width": window[0], "height": window[1]}
    for mount in (plan["rootfs"], *plan["mounts"]):
        if mount["type"] == "tree" and user is None:
            mount["source"] = HOST_PROC + mount["source"].removeprefix("/proc")
    plan["namespaces"], plan["stage"] = make_bundle_template(spec, facts, runtime.adapter, mapped=user is not None)
    plan["cgroup_namespace"] = False  # the runtime makes it
    plan["runtime"] = {
        "argv": command_line(runtime, stage=stage, name=name, network=spec.network, terminal=spec.terminal),
        "env": ENVIRONMENT | {"XDG_RUNTIME_DIR": stage},
        "view": _view(spec, facts, runtime.adapter),
        "detaches": runtime.adapter.detaches,
        "kill": [] if runtime.adapter.detaches else kill_command(runtime, stage=stage, name=name),
        "delete": delete_command(runtime, stage=stage, name=name) if _at_the_end(config, runtime) else [],
        "config": msgspec.json.encode(config),
        "config_with_tmp": _with_tmp(config, stage) if runtime.adapter.own_kernel else b"",
        "connector": make_connector_plan(facts.connectors, spec.namespaces.network) if spec.own_network else None,
    }
    return plan


def _at_the_end(config: dict[str, Any], runtime: Runtime) -> bool:
    """Whether there are hooks for the container's end that nobody would run: the runtime is gone by then."""
    return runtime.adapter.detaches and "poststop" in config.get("hooks", {})


def _program(spec: ContainerSpec, plan: dict[str, Any], machine: str) -> bytes:
    """The seccomp program, which asks the supervisor where there is one; empty where only the rules say all."""
    if plan["supervision"] is None:
        program: bytes = plan["seccomp"]
        return program
    if spec.seccomp != "default" or not plan["seccomp"]:
        return b""
    return notify_filter.compile_with_default(machine, frozenset(caps.names(plan["capabilities"])))


def _with_tmp(config: dict[str, Any], stage: str) -> bytes:
    """The same with the image's /tmp named: runsc puts a file system in memory over one that is empty."""
    tmp = {"destination": "/tmp", "type": "bind", "source": f"{stage}/root/tmp", "options": ["rbind", "rw"]}
    return msgspec.json.encode(config | {"mounts": [*config["mounts"], tmp]})


def _view(spec: ContainerSpec, facts: RuntimeFacts, adapter: Adapter) -> list[Operation]:
    """What is done to the machine's file systems before the runtime sees them, and after cgroups were joined."""
    view: list[Operation] = []
    if adapter.refuses_hybrid and facts.cgroups == "hybrid":
        view.append(_covered(facts.unified))
    elif adapter.makes_cgroups:
        view.append(("read-only", "/sys/fs/cgroup"))
    if adapter.hosts_network_by and spec.own_network:
        view.append(_covered(adapter.hosts_network_by))
    return view


def _covered(folder: str) -> Operation:
    return ("mount", "tmpfs", "tmpfs", sys.MS_RDONLY | NOSUID_NOEXEC_NODEV, "size=0k,mode=755", folder)


def make_config(
    spec: ContainerSpec, facts: RuntimeFacts, adapter: Adapter, *, stage: str = STAGE, supervised: bool = False
) -> dict[str, Any]:
    """config.json (runtime-spec config.md, config-linux.md)."""
    capabilities = container_capabilities(spec, facts.host)
    own = ("pid", "mount", *(kind for kind in ("uts", "cgroup") if getattr(spec.namespaces, kind) == "private"))
    linux: dict[str, Any] = {"namespaces": [{"type": kind} for kind in own]}
    if adapter.own_kernel and spec.own_network:
        # The one that it is started in: else it would take one of its own, with nothing in it.
        linux["namespaces"].append({"type": "network", "path": "/proc/self/ns/net"})
    if not spec.privileged:
        linux["maskedPaths"] = [f"/{path}" for path in MASKED]
        linux["readonlyPaths"] = [f"/{path}" for path in READ_ONLY]
    config: dict[str, Any] = {
        "ociVersion": SPEC_VERSION,
        "root": {"path": f"{stage}/root", "readonly": spec.read_only},
        "mounts": _mounts(spec, adapter, stage),
        "process": _process(spec, facts, capabilities),
        "linux": linux,
    }
    hooks = injected(spec.hooks, spec.argv[0], bind_mounts=spec.volumes) if spec.hooks else {}
    if adapter.forgets_nodev and facts.host.device_nodes and not spec.privileged:
        hooks["createContainer"] = [_nodev_again(spec, facts), *hooks.get("createContainer", ())]
    if hooks:
        config["hooks"] = hooks
    hostname = spec.hostname or (facts.hostname if adapter.own_kernel else "")
    if hostname and "uts" in own:
        config["hostname"] = hostname
    rules = _seccomp(spec, facts, capabilities)
    if supervised:
        rules = notify_about_devices(rules, facts.host.machine) | {"listenerPath": LISTENER}
    if rules is not None:
        linux["seccomp"] = rules
    return config


def _seccomp(spec: ContainerSpec, facts: RuntimeFacts, capabilities: int) -> dict[str, Any] | None:
    if spec.privileged or spec.seccomp == "unconfined":
        return None
    names = caps.names(capabilities)
    if isinstance(spec.seccomp, str):
        return default_rules(facts.host.machine, names)
    return profile_rules(spec.seccomp, facts.host.machine, names, facts.host.release)


def _mounts(spec: ContainerSpec, adapter: Adapter, stage: str) -> list[dict[str, Any]]:
    proc = {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]}
    if adapter.own_kernel:
        size = f"size={spec.shm_size}"
        shm = {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["nosuid", "mode=1777", size]}
        return [proc, shm]
    # A /dev that is bound is left as it is: without this line runtimes would make device nodes in it.
    dev = {"destination": "/dev", "type": "bind", "source": f"{stage}/root/dev", "options": DEV_OPTIONS}
    return [dev, proc]


def _nodev_again(spec: ContainerSpec, facts: RuntimeFacts) -> dict[str, Any]:
    """A hook that makes the root file system `nodev` again, from the outside, before the command can use it.

    A container may make device nodes, and without limits there is no cgroup that would keep it from opening them.
    """
    if not facts.mount:
        raise IsolationError(
            "mount(8) is not installed: without it this runtime's containers could open the host's devices",
            hint="apt-get install mount, or use another runtime: --runtime runc",
        )
    options = "remount,bind,nodev" + (",ro" if spec.read_only else "")
    # A hook has to read what it is told: a runtime that cannot write it all sees a failure.
    return {
        "path": "/bin/sh",
        "args": ["sh", "-c", 'read -r state; exec "$0" -o "$1" "$2"', facts.mount, options, f"{STAGE}/root"],
    }


def _process(spec: ContainerSpec, facts: RuntimeFacts, capabilities: int) -> dict[str, Any]:
    names = list(caps.names(capabilities))
    # Whoever is not root has none of them, and may get no other than these by executing a file.
    own = names if spec.uid == 0 else []
    process: dict[str, Any] = {
        "terminal": spec.terminal,
        "user": {
            "uid": spec.uid,
            "gid": spec.gid,
            "umask": 0o022,
            "additionalGids": list(spec.groups),
        },
        "args": list(spec.argv),
        "env": list(spec.env),
        "cwd": spec.cwd or "/",
        "capabilities": {
            "bounding": names,
            "effective": own,
            "permitted": own,
            "inheritable": [],
            "ambient": [],
        },
        "rlimits": _rlimits(spec, facts),
        "noNewPrivileges": spec.no_new_privileges,
    }
    # Nothing confines where there is no AppArmor: that is what is wanted, and runtimes fail.
    if spec.apparmor and (spec.apparmor != "unconfined" or facts.host.apparmor):
        process["apparmorProfile"] = spec.apparmor
    if spec.selinux_label:
        process["selinuxLabel"] = spec.selinux_label
    return process


def _rlimits(spec: ContainerSpec, facts: RuntimeFacts) -> list[dict[str, Any]]:
    wanted = {"nofile": facts.nofile} | {limit.type: (limit.soft, limit.hard) for limit in spec.rlimits}
    return [
        {
            "type": f"RLIMIT_{name.upper()}",
            "soft": UNLIMITED if soft < 0 else soft,
            "hard": UNLIMITED if hard < 0 else hard,
        }
        for name, (soft, hard) in wanted.items()
    ]
