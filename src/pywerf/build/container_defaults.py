"""What the flags ask of all containers of a command, as one ContainerSpec that each RUN fills in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pywerf.build.options import ContainerOptions
from pywerf.errors import IsolationError, UsageError
from pywerf.isolation.spec import SHM_SIZE, ContainerSpec
from pywerf.linux.mount import Mount

if TYPE_CHECKING:
    from typing import Literal

    from pywerf.isolation.hooks import Hook
    from pywerf.isolation.network import Resolver
    from pywerf.isolation.spec import Rlimit
    from pywerf.linux.seccomp_profile import SeccompProfile

__all__ = ["container_defaults", "resolver", "selinux_label"]

CONTEXTS = "/etc/selinux/targeted/contexts/lxc_contexts"
SELINUX_DEFAULT = "system_u:system_r:container_t:s0"


def container_defaults(
    options: ContainerOptions,
    *,
    ulimits: Sequence[str] = (),
    cap_add: Sequence[str] = (),
    cap_drop: Sequence[str] = (),
    shm_size: int = 0,
    hooks: tuple[Hook, ...] = (),
    volumes: bool = False,
) -> ContainerSpec:
    """The spec without a root file system and a command. Reads a seccomp profile, and this process's own limits.

    Raises UsageError, InvalidValue, and IsolationError for limits above the present ones.
    """
    return ContainerSpec(
        rootfs=Mount("bind", "/"),
        argv=(),
        capabilities=_capabilities(cap_add, cap_drop),
        rlimits=_rlimits(ulimits),
        shm_size=shm_size or SHM_SIZE,
        seccomp=_seccomp(options.seccomp),
        no_new_privileges=options.no_new_privileges,
        resources=options.resources,
        cgroup_parent=options.cgroup_parent,
        namespaces=options.namespaces,
        devices=options.devices,
        apparmor=options.apparmor,
        selinux_label=selinux_label(options.labels),
        hooks=hooks,
        volumes=volumes,
    )


def _capabilities(cap_add: Sequence[str], cap_drop: Sequence[str]) -> tuple[str, ...] | None:
    if not cap_add and not cap_drop:
        return None
    from pywerf.linux import caps

    chosen = caps.select(cap_add, cap_drop)
    # ALL are all that there are; of Docker's default set a container has what there is.
    missing = {caps.normalize(name) for name in cap_add} - {caps.ALL} - caps.bounding()
    if missing:
        raise IsolationError(
            f"--cap-add {min(missing)}: this process has it not, and cannot give it to a container",
            hint="leave it out, or start this process with it: in a container docker run --cap-add",
        )
    return chosen


def _rlimits(ulimits: Sequence[str]) -> tuple[Rlimit, ...]:
    """The limits, each of which the kernel will take: what it would refuse is refused before the build starts."""
    if not ulimits:
        return ()
    from pywerf.isolation.limits import check_limits, limit_facts, parse_ulimits

    rlimits = parse_ulimits(ulimits)
    check_limits(rlimits, limit_facts())
    return rlimits


def resolver(options: ContainerOptions) -> Resolver | None:
    """How names are found in containers; None: as on the host."""
    if options == ContainerOptions():
        return None
    from pywerf.isolation.network import Resolver

    none = options.dns_servers == ("none",)
    return Resolver(
        servers=() if none else options.dns_servers,
        searches=options.dns_searches,
        options=options.dns_options,
        own_resolv_conf=not none,
        own_hosts=options.hosts,
        own_hostname=options.hostname,
    )


def _seccomp(value: str) -> Literal["default", "unconfined"] | SeccompProfile:
    """`unconfined`, `builtin` (ours, which is the default), or the profile in a file."""
    if value in ("", "builtin", "default"):
        return "default"
    if value == "unconfined":
        return "unconfined"
    from pywerf.linux.seccomp_profile import parse_profile

    try:
        with open(value, "rb") as file:
            data = file.read()
    except OSError as error:
        raise UsageError(
            f"--security-opt seccomp={value}: {error.strerror}", hint="it is unconfined, or a file in Docker's format"
        ) from error
    return parse_profile(data, value)


def selinux_label(options: Sequence[str], contexts: str | None = None) -> str:
    """The label of processes that `--security-opt label=…` comes to; empty for none of them, and for `disable`.

    What no option names is as the system's policy has it for containers (`contexts`: what is in lxc_contexts).
    """
    if not options or "disable" in options:
        return ""
    if contexts is None:
        from pywerf.linux.facts import read_text

        contexts = read_text(CONTEXTS)
    parts = SELINUX_DEFAULT.split(":", 3)
    for line in contexts.splitlines():
        key, _, value = line.partition("=")
        if key.strip() == "process" and value.count(":") >= 3:
            parts = value.strip().strip('"').split(":", 3)
    for option in options:
        name, _, value = option.partition(":")
        parts[("user", "role", "type", "level").index(name)] = value
    return ":".join(parts)
