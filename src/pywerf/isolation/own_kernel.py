"""What containers of a runtime that brings a kernel of its own (gVisor's runsc, Kata) cannot be. Pure.

Such a kernel shares nothing with the host's but files, and the network where that is passed through: what it would
leave out without a word is an error here.
"""

from __future__ import annotations

import posixpath

from pywerf.errors import IsolationError
from pywerf.isolation.runtimes import Runtime
from pywerf.isolation.spec import ContainerSpec

__all__ = ["check_own_kernel"]

_OTHER = "use another runtime: --runtime crun"
_OWN_FOLDERS = ("/dev/", "/proc/", "/sys/")


def check_own_kernel(spec: ContainerSpec, runtime: Runtime) -> None:
    """Raise IsolationError for the first thing that the runtime's kernel has not."""
    name = runtime.name
    if spec.devices:
        raise IsolationError(
            f"--device {spec.devices[0].source}: {name} has a kernel of its own, without the host's devices",
            hint=_OTHER,
        )
    for target in (*(mount.target for mount in spec.mounts), *(file[0] for file in spec.files)):
        if posixpath.normpath(target).startswith(_OWN_FOLDERS):
            raise IsolationError(
                f"{target}: {name} has a /dev, /proc and /sys of its own: nothing can be mounted there",
                hint=f"use another target, or {_OTHER.removeprefix('use ')}",
            )
    for mount in spec.mounts:
        if "noexec" in mount.options:
            raise IsolationError(
                f"mount of {mount.target}: {name} would execute files there in spite of noexec",
                hint=f"leave noexec out, or {_OTHER}",
            )
    for kind in ("ipc", "uts", "cgroup"):
        if getattr(spec.namespaces, kind) != "private":
            flag = "--cgroupns" if kind == "cgroup" else f"--{kind}"
            value = getattr(spec.namespaces, kind)
            raise IsolationError(f"{flag} {value}: {name} has a kernel of its own, which shares nothing", hint=_OTHER)
    if spec.network == "private" and not spec.own_network:
        # Its network stack takes the addresses of the namespace's interfaces away for good, be it the machine's own.
        raise IsolationError(
            f"--network ns:{spec.namespaces.network}: {name} would take the addresses away from whoever is in there",
            hint=f"--network private gives a network of its own; or {_OTHER}",
        )
    if spec.selinux_label or spec.apparmor not in ("", "unconfined"):
        flag = "label" if spec.selinux_label else f"apparmor={spec.apparmor}"
        raise IsolationError(f"--security-opt {flag}: {name} gives its containers no label", hint=_OTHER)
    memory, least = spec.resources.memory, runtime.adapter.least_memory
    if memory is not None and 0 < memory < least:
        raise IsolationError(
            f"--memory {memory}: the kernel of {name} alone needs some {least >> 20} MiB, which count",
            hint=f"--memory {2 * least >> 20}m or more; or {_OTHER}",
        )
    known = runtime.adapter.own_limits
    if unknown := [limit.type for limit in spec.rlimits if known is not None and limit.type not in known]:
        raise IsolationError(
            f"ulimit {unknown[0]}: {name} has a kernel of its own, which has no such limit",
            hint=f"leave it out, or {_OTHER}",
        )
