"""Reads the values of the flags about containers (`container_flags.py`); loaded where one of them is given."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pywerf.build.options import ContainerOptions
from pywerf.cli.values import CONNECTORS, bad_value

if TYPE_CHECKING:
    from pywerf.isolation.spec import Device, IdMap, Namespaces, Resources

__all__ = ["memory_size", "network_namespace", "read_options"]

_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([kmgtp]?)i?b?", re.IGNORECASE)
_LIST = re.compile(r"\d+(-\d+)?(,\d+(-\d+)?)*")
_PRIVATE = ("private", "container")
_LABELS = ("user", "role", "type", "level")


def read_options(flags: dict[str, Any], network: str, add_hosts: Sequence[str]) -> ContainerOptions:
    """What the flags (by parameter name) ask for. Raises UsageError, which names the flag."""
    path = network_namespace(network)
    if flags["no_hosts"] and add_hosts:
        raise bad_value("--no-hosts", "", "it cannot be used together with --add-host")
    seccomp, apparmor, labels, no_new_privileges = _security(flags["security_opts"])
    _check_dns(flags, network)
    return ContainerOptions(
        resources=_resources(flags),
        cgroup_parent=flags["cgroup_parent"],
        namespaces=_namespaces(flags, path),
        devices=tuple(device for text in flags["devices"] for device in _devices(text)),
        seccomp=seccomp,
        apparmor=apparmor,
        labels=labels,
        no_new_privileges=no_new_privileges,
        dns_servers=tuple(flags["dns"]),
        dns_searches=tuple(flags["dns_search"]),
        dns_options=tuple(flags["dns_option"]),
        hosts=not flags["no_hosts"],
        hostname=not flags["no_hostname"],
        groups=_groups(flags["groups"]),
    )


def _groups(groups: Sequence[str]) -> tuple[str, ...]:
    if "keep-groups" in groups:
        raise bad_value(
            "--group-add", "keep-groups", "the groups of the host's user mean nothing to an image", hint="name groups"
        )
    return tuple(groups)


def memory_size(name: str, text: str) -> int:
    """A size in bytes as docker and buildah read it: a number, maybe with a fraction, and b, k, m, g, t or p."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise bad_value(name, text, "not a size", hint="write a number and a unit of b, k, m or g")
    return int(float(match[1]) * (1 << 10 * " kmgtp".index(match[2].lower() or " ")))


def network_namespace(mode: str) -> str:
    """The path in `--network ns:PATH`, or the program that is to connect a private one; empty for anything else.

    Raises UsageError for a path that is not there.
    """
    if mode in CONNECTORS:
        return mode
    if not mode.startswith("ns:"):
        return ""
    return _existing("--network", mode, mode.removeprefix("ns:"), "network")


def _resources(flags: dict[str, Any]) -> Resources:
    from pywerf.isolation.spec import Resources

    memory = memory_size("--memory", flags["memory"]) or None if flags["memory"] else None
    text = flags["memory_swap"]
    swap = None
    if text:
        swap = -1 if text.strip() == "-1" else memory_size("--memory-swap", text) or None
    if swap is not None and memory is None:
        raise bad_value("--memory-swap", text, "it needs --memory, too")
    if swap is not None and memory is not None and 0 <= swap < memory:
        raise bad_value("--memory-swap", text, f"it is memory and swap together, so not less than --memory {memory}")
    return Resources(
        memory=memory,
        memory_swap=swap,
        cpu_shares=_number("--cpu-shares", flags["cpu_shares"], 2, 262_144),
        cpu_quota=_number("--cpu-quota", flags["cpu_quota"], 1000, None, unlimited=True),
        cpu_period=_number("--cpu-period", flags["cpu_period"], 1000, 1_000_000),
        cpuset_cpus=_list("--cpuset-cpus", flags["cpuset_cpus"]),
        cpuset_mems=_list("--cpuset-mems", flags["cpuset_mems"]),
    )


def _number(name: str, text: str, least: int, most: int | None, *, unlimited: bool = False) -> int | None:
    """An integer in the kernel's bounds; "" and 0 mean that nothing is asked for."""
    if not text:
        return None
    word = text.strip()
    if not re.fullmatch(r"-?\d{1,18}", word, re.ASCII):
        raise bad_value(name, text, "not an integer")
    value = int(word)
    if value == 0:
        return None
    if unlimited and value == -1:
        return -1
    if value < least or (most is not None and value > most):
        bounds = f"from {least} to {most}" if most is not None else f"{least} or more"
        raise bad_value(name, text, f"the kernel takes {bounds}" + (", and -1 for no limit" if unlimited else ""))
    return value


def _list(name: str, text: str) -> str:
    word = text.replace(" ", "")
    if word and not _LIST.fullmatch(word):
        raise bad_value(name, text, "not a list of numbers", hint=f"write for instance {name} 0-3,5")
    return word


def _namespaces(flags: dict[str, Any], network: str) -> Namespaces:
    from pywerf.isolation.spec import Namespaces

    cgroup = _how("--cgroupns", flags["cgroupns"], "cgroup")
    if cgroup not in ("private", "host"):
        raise bad_value("--cgroupns", flags["cgroupns"], "it is private or host")
    uids, gids = _id_maps(flags)
    user = ""
    if flags["userns"].partition(":")[0] == "auto":
        if flags["userns"] != "auto":
            raise bad_value(
                "--userns", flags["userns"], "auto has no options here", hint="give --userns-uid-map and -gid-map"
            )
        user = "private"
    elif flags["userns"]:
        user = _how("--userns", flags["userns"], "user")
    if uids:
        if user not in ("", "private"):
            raise bad_value("--userns", flags["userns"], "ids are mapped in a private namespace only")
        user = "private"
    return Namespaces(
        pid=_how("--pid", flags["pid"], "pid"),
        ipc=_how("--ipc", flags["ipc"], "ipc"),
        uts=_how("--uts", flags["uts"], "uts"),
        cgroup=cgroup,
        user=user,
        uid_map=uids,
        gid_map=gids,
        network=network,
        asked=tuple(f"--{kind}" for kind in ("pid", "ipc", "uts", "cgroupns") if flags[kind] in _PRIVATE),
    )


def _how(name: str, text: str, kind: str) -> str:
    """`private`, `host`, or the path of a namespace, with `ns:` before it or not."""
    if not text or text in _PRIVATE:
        return "private"
    return "host" if text == "host" else _existing(name, text, text.removeprefix("ns:"), kind)


def _existing(name: str, text: str, path: str, kind: str) -> str:
    if not os.path.exists(path):
        raise bad_value(name, text, f"there is no {kind} namespace {path}", hint="write private, host or a path")
    return os.path.abspath(path)


def _id_maps(flags: dict[str, Any]) -> tuple[tuple[IdMap, ...], tuple[IdMap, ...]]:
    """Maps as they are written, else of the names; one kind stands for the other one, too, as in buildah."""
    uids = tuple(_id_map("--userns-uid-map", text) for text in flags["userns_uid_map"])
    gids = tuple(_id_map("--userns-gid-map", text) for text in flags["userns_gid_map"])
    user, group = flags["userns_uid_map_user"], flags["userns_gid_map_group"]
    if not uids and (user or group):
        uids = _ranges("--userns-uid-map-user", user or group, "/etc/subuid")
    if not gids and (user or group):
        gids = _ranges("--userns-gid-map-group", group or user, "/etc/subgid")
    return uids or gids, gids or uids


def _id_map(name: str, text: str) -> IdMap:
    from pywerf.isolation.spec import IdMap

    fields = text.split(":")
    if (
        len(fields) != 3
        or not all(re.fullmatch(r"\d{1,10}", field, re.ASCII) for field in fields)
        or not int(fields[2])
    ):
        raise bad_value(name, text, "not CONTAINER-ID:HOST-ID:SIZE", hint=f"for instance {name} 0:100000:65536")
    return IdMap(int(fields[0]), int(fields[1]), int(fields[2]))


def _ranges(name: str, who: str, file: str) -> tuple[IdMap, ...]:
    from pywerf.isolation.spec import IdMap
    from pywerf.linux.facts import read_text
    from pywerf.linux.userns import parse_subids

    found = []
    first = 0
    for host, count in parse_subids(read_text(file), who, -1):
        found.append(IdMap(first, host, count))
        first += count
    if not found:
        raise bad_value(name, who, f"there is no range for it in {file}", hint=f"add one: {who}:100000:65536")
    return tuple(found)


def _security(options: Sequence[str]) -> tuple[str, str, tuple[str, ...], bool]:
    """(seccomp, apparmor, SELinux labels, no new privileges)."""
    seccomp = apparmor = ""
    labels: list[str] = []
    no_new_privileges = False
    hint = "it is seccomp=FILE, apparmor=PROFILE, label=TYPE:VALUE, label=disable or no-new-privileges"
    for text in options:
        separator = min((at for at in (text.find("="), text.find(":")) if at >= 0), default=len(text))
        key, value = text[:separator], text[separator + 1 :]
        if key == "no-new-privileges":
            if value not in ("", "true", "false"):
                raise bad_value("--security-opt", text, "it is true or false")
            no_new_privileges = value != "false"
        elif key not in ("seccomp", "apparmor", "label"):
            raise bad_value("--security-opt", text, "unknown option", hint=hint)
        elif not value:
            raise bad_value("--security-opt", text, "the value is missing", hint=hint)
        elif key == "seccomp":
            seccomp = value
        elif key == "apparmor":
            apparmor = value
        elif value != "disable" and (value.partition(":")[0] not in _LABELS or not value.partition(":")[2]):
            raise bad_value("--security-opt", text, f"a label is disable, or one of {', '.join(_LABELS)} with a value")
        else:
            labels.append(value)
    return seccomp, apparmor, tuple(labels), no_new_privileges


def _devices(text: str) -> list[Device]:
    """`HOST[:CONTAINER][:rwm]`; a folder stands for the devices in it."""
    import stat

    from pywerf.isolation.spec import Device

    fields = text.split(":")
    source, rest = fields[0], fields[1:]
    permissions = "rwm"
    if len(rest) == 2 or (len(rest) == 1 and not rest[0].startswith("/")):
        permissions = rest.pop()
    if len(rest) > 1 or not source.startswith("/") or (rest and not rest[0].startswith("/")):
        raise bad_value("--device", text, "not a device", hint="write --device /dev/fuse[:/dev/fuse[:rwm]]")
    if not permissions or set(permissions) - set("rwm") or len(set(permissions)) != len(permissions):
        raise bad_value("--device", text, f"the permissions {permissions!r} are not some of rwm")
    target = rest[0] if rest else source
    try:
        real = os.path.realpath(source, strict=True)
        if not os.path.isdir(real):
            mode = os.stat(real).st_mode
            if not (stat.S_ISCHR(mode) or stat.S_ISBLK(mode)):
                raise bad_value("--device", text, f"{source} is no device", hint="--volume mounts files and folders")
            return [Device(real, target, permissions)]
        found = []
        for folder, folders, files in os.walk(real):
            folders.sort()
            for name in sorted(files):
                path = f"{folder}/{name}"
                mode = os.lstat(path).st_mode
                if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
                    found.append(Device(path, target + path[len(real) :], permissions))
    except OSError as error:
        raise bad_value("--device", text, f"{source}: {error.strerror}") from error
    if not found:
        raise bad_value("--device", text, f"there is no device in {source}")
    return found


def _check_dns(flags: dict[str, Any], network: str) -> None:
    servers = flags["dns"]
    given = [name for name in ("dns", "dns_search", "dns_option") if flags[name]]
    if given and network == "none":
        raise bad_value(f"--{given[0].replace('_', '-')}", "", "it cannot be used with --network none")
    if "none" in servers:
        if len(servers) > 1:
            raise bad_value("--dns", "none", "it cannot be used together with other servers")
        if len(given) > 1:
            raise bad_value(f"--{given[1].replace('_', '-')}", "", "it cannot be used together with --dns none")
        return
    import socket

    for server in servers:
        for family in (socket.AF_INET, socket.AF_INET6):
            try:
                socket.inet_pton(family, server.partition("%")[0])
                break
            except OSError:
                continue
        else:
            raise bad_value("--dns", server, "not an IP address", hint="for instance --dns 192.0.2.53, or none")
