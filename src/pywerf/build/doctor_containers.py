"""The checks of `werf host doctor` about what containers use beside namespaces: cgroups, networks, Docker's daemon."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping

from pywerf.build.doctor import Check, State
from pywerf.build.doctor_checks import device_hint
from pywerf.errors import IsolationError
from pywerf.isolation.cgroups import FLAGS, Hierarchy
from pywerf.isolation.spec import Resources
from pywerf.linux.facts import in_container, in_initial_namespace
from pywerf.linux.userns import find_tool, read_subids

__all__ = ["cgroup_hierarchy", "cgroups", "docker", "limits_hint", "networks"]

# Each with the Debian package that has it.
_NETWORKS = {"pasta": "passt", "slirp4netns": "slirp4netns"}
_TRIED = {
    "memory": Resources(memory=64 << 20),
    "cpu": Resources(cpu_shares=512),
    "cpuset": Resources(cpuset_mems="0"),
}
_SECONDS = 5.0


def cgroups(rung: int = 1) -> list[Check]:
    """Which hierarchies are mounted with which controllers, and whether limits work: a cgroup is made and joined.

    On the last rungs containers have no limits, whatever is mounted.
    """
    from pywerf.isolation.cgroup_dirs import present_hierarchies

    hierarchies = present_hierarchies()
    checks = [Check("cgroups", "hierarchy", "info", cgroup_hierarchy(hierarchies))]
    if rung >= 4:
        none = f"not tried: containers have no limits on rung {rung}"
        return [*checks, *(Check("cgroups", f"limits of {controller}", "info", none) for controller in _TRIED)]
    checks += [_limit(controller, resources, hierarchies) for controller, resources in _TRIED.items()]
    return checks


def cgroup_hierarchy(hierarchies: tuple[Hierarchy, ...]) -> str:
    """`v1`, `v2`, `hybrid` or `none`, the controllers, and of v2 where this process is."""
    versions = {hierarchy.version for hierarchy in hierarchies}
    mode = {frozenset(): "none", frozenset((1,)): "v1", frozenset((2,)): "v2"}.get(frozenset(versions), "hybrid")
    named = [name for hierarchy in hierarchies for name in hierarchy.controllers if not name.startswith("name=")]
    shown = f"{mode}: {' '.join(named)}" if named else mode
    own = next((hierarchy.own for hierarchy in hierarchies if hierarchy.version == 2), "")
    return f"{shown}; this process is in {own}" if own and mode == "v2" else shown


def _limit(controller: str, resources: Resources, hierarchies: tuple[Hierarchy, ...]) -> Check:
    """Try the limits of one controller: what --memory and the like would do."""
    from pywerf.isolation.cgroup_dirs import Cgroups
    from pywerf.linux.probes import Attempt, in_child

    name = f"limits of {controller}"
    try:
        made = Cgroups(lambda folder: None, hierarchies).make(resources, "")
    except IsolationError as error:
        return Check("cgroups", name, "missing", error.message, limits_hint(hierarchies, contained=in_container()))

    def join() -> Attempt:
        try:
            for path in made.joined:
                fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
                os.write(fd, b"0")
        except OSError as error:
            return Attempt.failed(f"join {os.path.dirname(path)}", error)
        return Attempt("join a cgroup")

    try:
        joined = in_child(join)
        where = ", ".join(os.path.dirname(os.path.dirname(path)) for path in made.joined)
    finally:
        made.remove()
    if joined.works:
        return Check("cgroups", name, "ok", f"{FLAGS[controller]}: a cgroup can be made in {where}, and joined")
    hint = limits_hint(hierarchies, contained=in_container())
    return Check("cgroups", name, "missing", joined.reason, hint, joined.errno)


def limits_hint(
    hierarchies: tuple[Hierarchy, ...], *, contained: bool, root: bool | None = None, mapped: bool | None = None
) -> str:
    """The one thing that would let limits work here. `root`: this process is root's; `mapped`: of a user namespace's

    (None: look).
    """
    if mapped is None:
        mapped = not in_initial_namespace()
    if root is None:
        root = os.geteuid() == 0
    if not hierarchies:
        return "mount -t cgroup2 cgroup2 /sys/fs/cgroup"
    if root and contained and mapped and any(hierarchy.version == 1 for hierarchy in hierarchies):
        return "start this container as the machine's own root: on cgroup v1 other users have no limits to give"
    if root and contained:
        # of v2 only the cgroups above that of the container, which has processes, can be used
        seen = "--cgroupns host " if all(hierarchy.version == 2 for hierarchy in hierarchies) else ""
        return f"start this container with {seen}--volume /sys/fs/cgroup:/sys/fs/cgroup, or with {seen}--privileged"
    if root:
        return "boot with the controller enabled (no cgroup_disable=, cgroup_enable=memory on some machines)"
    if all(hierarchy.version == 2 for hierarchy in hierarchies):
        return "systemd-run --user --scope -p Delegate=yes werf …"
    return "run it as root: on cgroup v1 ordinary users have no limits to give"


def networks(find: Callable[[str], str | None] = find_tool, tun: str = "/dev/net/tun") -> list[Check]:
    """The programs that give a container a network of its own (`--network private`); one of them is enough.

    And the device that both of them open.
    """
    found = {name: find(name) for name in _NETWORKS}
    checks = []
    for name, path in found.items():
        if path is not None:
            checks.append(Check("network", name, "ok", path))
        elif any(found.values()):
            checks.append(Check("network", name, "info", "not installed; the other one is enough"))
        else:
            hint = f"apt-get install {_NETWORKS[name]}"
            checks.append(Check("network", name, "missing", "not installed: no private networks", hint))
    if os.access(tun, os.R_OK | os.W_OK):
        checks.append(Check("network", "tun", "ok", tun))
    else:
        state: State = "missing" if any(found.values()) else "info"
        hint = device_hint(tun) if state == "missing" else ""
        checks.append(Check("network", "tun", state, f"{tun} cannot be opened: no private networks", hint))
    return checks


def docker(environ: Mapping[str, str]) -> list[Check]:
    """Whether a Docker daemon answers; the embedded engine needs none."""
    where = environ.get("DOCKER_HOST", "") or "unix:///var/run/docker.sock"
    if environ.get("DOCKER_TLS_VERIFY") or not where.startswith(("unix://", "tcp://")):
        return [Check("docker", "daemon", "info", f"{where}: not asked, only plain sockets are")]
    try:
        version = _docker_version(where)
    except PermissionError:
        user = read_subids().user
        detail = f"{where}: permission denied for {user}; the embedded engine needs none"
        return [Check("docker", "daemon", "missing", detail, f"usermod --append --groups docker {user}", 13)]
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        detail = f"none at {where}: {reason}; the embedded engine needs none"
        number = (error.errno or 0) if isinstance(error, OSError) else 0
        return [Check("docker", "daemon", "missing", detail, _docker_hint(where), number)]
    return [Check("docker", "daemon", "ok", f"version {version} at {where}")]


def _docker_hint(where: str) -> str:
    if where.startswith("tcp://"):
        return "unset DOCKER_HOST, or start the daemon that it names"
    if find_tool("dockerd"):
        return "systemctl start docker"
    if in_container():
        return "start this container with -v /var/run/docker.sock:/var/run/docker.sock"
    return "apt-get install docker.io"


def _docker_version(where: str) -> str:
    """GET /version of the Engine API (docs.docker.com/reference/api/engine). Raises OSError, ValueError."""
    import json
    import socket

    scheme, _, address = where.partition("://")
    host, _, port = address.rstrip("/").rpartition(":")
    if scheme == "tcp" and not (host and port.isdecimal()):
        raise ValueError("DOCKER_HOST names no host and port")
    with (
        socket.socket(socket.AF_UNIX)
        if scheme == "unix"
        else socket.create_connection((host.strip("[]"), int(port)), _SECONDS) as connection
    ):
        connection.settimeout(_SECONDS)
        if scheme == "unix":
            connection.connect(address)
        connection.sendall(b"GET /version HTTP/1.0\r\nHost: docker\r\n\r\n")
        answer = b"".join(_received(connection))
    _, _, body = answer.partition(b"\r\n\r\n")
    document = json.loads(body)
    if not isinstance(document, dict) or "Version" not in document:
        raise ValueError("it does not answer as Docker does")
    api = document.get("ApiVersion")
    return f"{document['Version']} (API {api})" if api else str(document["Version"])


def _received(connection: object) -> Iterator[bytes]:
    import socket

    assert isinstance(connection, socket.socket)
    while chunk := connection.recv(1 << 16):
        yield chunk
