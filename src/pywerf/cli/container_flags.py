"""The flags about containers that `build` and `run` share: limits, namespaces, security, devices, names. As buildah's.

They are read only where one is given: most commands have none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from pywerf.build.options import ContainerOptions
from pywerf.cli.declare import flag, switch
from pywerf.cli.values import CONNECTORS

__all__ = ["CONTAINER_NAMES", "container_flags", "container_options"]

F = TypeVar("F", bound=Callable[..., Any])

_HOW = "private|host|PATH"
_FLAGS = (
    flag("--memory", "-m", metavar="SIZE", help="Most memory of a container (512m, 2g)."),
    flag("--memory-swap", metavar="SIZE", help="Most memory and swap together; -1: unlimited. Twice --memory."),
    flag("--cpu-shares", "-c", metavar="N", help="Weight among containers that want the processors (1024)."),
    flag("--cpu-quota", metavar="MICROSECONDS", help="Processor time of a container in a period."),
    flag("--cpu-period", metavar="MICROSECONDS", help="Length of that period (100000)."),
    flag("--cpuset-cpus", metavar="LIST", help="Processors to run on (0-3,5)."),
    flag("--cpuset-mems", metavar="LIST", help="Memory nodes to use (0,1)."),
    flag("--cgroup-parent", metavar="PATH", help="Cgroup to make containers' cgroups in."),
    flag("--cgroupns", metavar="private|host", help="Cgroup namespace of containers."),
    flag("--ipc", metavar=_HOW, help="IPC namespace of containers."),
    flag("--pid", metavar=_HOW, help="PID namespace of containers."),
    flag("--uts", metavar=_HOW, help="UTS namespace (host name) of containers."),
    flag("--userns", metavar=_HOW, help="User namespace of containers; private: root's range of /etc/subuid."),
    flag("--userns-uid-map", multiple=True, split=True, metavar="UID:HOSTUID:N", help="User ids in that namespace."),
    flag("--userns-gid-map", multiple=True, split=True, metavar="GID:HOSTGID:N", help="Group ids in that namespace."),
    flag("--userns-uid-map-user", metavar="NAME", help="User whose ranges of /etc/subuid are its user ids."),
    flag("--userns-gid-map-group", metavar="NAME", help="Group whose ranges of /etc/subgid are its group ids."),
    flag(
        "--security-opt",
        "security_opts",
        multiple=True,
        metavar="OPTION",
        help="seccomp=FILE|unconfined, apparmor=PROFILE|unconfined, label=…, no-new-privileges.",
    ),
    flag("--device", "devices", multiple=True, metavar="DEVICE[:PATH[:rwm]]", help="Device of the host to add."),
    flag(
        "--dns", multiple=True, split=True, metavar="ADDRESS", help="Name server; none: the image's /etc/resolv.conf."
    ),
    flag("--dns-search", multiple=True, split=True, metavar="DOMAIN", help="Domain to look names up in; .: none."),
    flag("--dns-option", multiple=True, split=True, metavar="OPTION", help="Option for /etc/resolv.conf."),
    switch("--no-hosts", help="Leave /etc/hosts as the image has it."),
    switch("--no-hostname", help="Leave /etc/hostname as the image has it."),
    flag("--group-add", "groups", multiple=True, split=True, metavar="GROUP", help="Further group of the user."),
)
CONTAINER_NAMES = (
    *("memory", "memory_swap", "cpu_shares", "cpu_quota", "cpu_period", "cpuset_cpus", "cpuset_mems", "cgroup_parent"),
    *("cgroupns", "ipc", "pid", "uts", "userns", "userns_uid_map", "userns_gid_map", "userns_uid_map_user"),
    *("userns_gid_map_group", "security_opts", "devices", "dns", "dns_search", "dns_option", "no_hosts"),
    *("no_hostname", "groups"),
)


def container_flags(function: F) -> F:
    """All of them."""
    for add in reversed(_FLAGS):
        function = add(function)
    return function


def container_options(flags: dict[str, Any], network: str = "", add_hosts: Sequence[str] = ()) -> ContainerOptions:
    """What the flags (by parameter name) ask for. Raises UsageError, which names the flag."""
    if not network.startswith("ns:") and network not in CONNECTORS and not any(flags[name] for name in CONTAINER_NAMES):
        return ContainerOptions()
    from pywerf.cli.container_values import read_options

    return read_options(flags, network, add_hosts)
