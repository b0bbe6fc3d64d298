"""The single checks of `werf host doctor`, a function each."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from pywerf.build.doctor import Check
from pywerf.errors import WerfError
from pywerf.linux.facts import in_container, in_initial_namespace, read_number, read_text
from pywerf.linux.userns import TOOLS, Subids, find_tool, parse_subids, read_subids

__all__ = [
    "device_hint",
    "fuse",
    "host",
    "registries",
    "runtimes",
    "security",
    "settings",
    "storage",
    "store",
    "subordinate_ids",
]

# Each with the Debian package that has it.
_RUNTIMES = {"crun": "crun", "runc": "runc", "kata-runtime": "", "kata": "", "runsc": "runsc"}
_ENOUGH_IDS = 65536
_ENOUGH_SPACE = 1 << 30
_SECONDS = 5.0


def host() -> list[Check]:
    """Kernel, user, and whether this is a container."""
    kernel = os.uname()
    user = f"{read_subids().user} (uid {os.geteuid()})" + ("" if in_initial_namespace() else ", in a user namespace")
    return [
        Check("host", "kernel", "info", f"{kernel.sysname} {kernel.release} {kernel.machine}"),
        Check("host", "user", "info", user),
        Check("host", "container", "info", "this process lives in a container" if in_container() else "no container"),
    ]


def subordinate_ids() -> list[Check]:
    """Ranges of /etc/subuid and /etc/subgid, and the programs that map them."""
    from pywerf.isolation.ladder import free_subids, subids_hint

    subids = read_subids()
    first = free_subids(read_text("/etc/subuid"), read_text("/etc/subgid"))
    checks = []
    for name, flag, ranges in (("subuid", "uids", subids.uids), ("subgid", "gids", subids.gids)):
        count = sum(many for _, many in ranges)
        shown = ", ".join(f"{one}-{one + many - 1}" for one, many in ranges)
        hint = subids_hint(subids.user, first, (f"sub{flag}",))
        if not count:
            checks.append(_without_ids(name, subids, hint))
        elif count < _ENOUGH_IDS:
            detail = f"{shown}: {count} ids, {_ENOUGH_IDS} are usual (nobody is 65534)"
            checks.append(_check("ids", f"/etc/{name}", "missing", detail, hint))
        else:
            checks.append(Check("ids", f"/etc/{name}", "ok", f"{shown} ({count} ids)"))
    for tool in TOOLS:
        path = find_tool(tool)
        if path is None:
            checks.append(Check("ids", tool, "missing", "not installed", "apt-get install uidmap"))
        else:
            checks.append(Check("ids", tool, "ok", path))
    return checks


def _without_ids(name: str, subids: Subids, hint: str) -> Check:
    """Root has all ids; a range is for those of its containers that shall not be root's (native-rootless)."""
    if subids.uid:
        return Check("ids", f"/etc/{name}", "missing", f"no range for {subids.user}", hint)
    from pywerf.isolation.user_namespace import OWNERS

    _, other = OWNERS
    count = sum(many for _, many in parse_subids(read_text(f"/etc/{name}"), other, -1))
    if count:
        return Check("ids", f"/etc/{name}", "info", f"none for root; the {count} ids of `{other}` are taken")
    detail = f"no range for {subids.user}: containers of native-rootless are plain root's ({hint} gives one)"
    return Check("ids", f"/etc/{name}", "info", detail)


def _check(group: str, name: str, state: str, detail: str, hint: str = "") -> Check:
    """A hint belongs to what is missing."""
    if state == "missing":
        return Check(group, name, "missing", detail, hint)
    return Check(group, name, "ok" if state == "ok" else "info", detail)


def settings() -> list[Check]:
    """The sysctls that decide about user namespaces."""
    rules = (
        ("user.max_user_namespaces", 1, 1 << 63, "15000"),
        ("kernel.apparmor_restrict_unprivileged_userns", 0, 0, "0"),
        ("kernel.unprivileged_userns_clone", 1, 1, "1"),
    )
    checks = []
    for name, least, most, wanted in rules:
        value = read_number("/proc/sys/" + name.replace(".", "/"))
        if value is None:
            checks.append(Check("sysctl", name, "info", "this kernel has no such setting"))
        else:
            hint = f"sysctl -w {name}={wanted}"
            checks.append(_check("sysctl", name, "ok" if least <= value <= most else "missing", str(value), hint))
    return checks


def security() -> list[Check]:
    """Security modules, this process's label, and a seccomp filter that it lives under."""
    modules = read_text("/sys/kernel/security/lsm").strip() or "not known (securityfs is not mounted)"
    label = read_text("/proc/self/attr/current").strip("\n\0") or "none"
    lines = dict(line.split(":\t", 1) for line in read_text("/proc/self/status").splitlines() if ":\t" in line)
    filters = {"0": "no filter", "1": "strict mode", "2": "a filter"}.get(
        lines.get("Seccomp", ""), "not in this kernel"
    )
    apparmor = read_text("/sys/module/apparmor/parameters/enabled").startswith("Y")
    selinux = read_text("/sys/fs/selinux/enforce").strip()
    return [
        Check("security", "modules", "info", modules),
        Check("security", "AppArmor", "info", "enabled" if apparmor else "not in this kernel, or switched off"),
        Check("security", "SELinux", "info", {"1": "enforcing", "0": "permissive"}.get(selinux, "not enabled")),
        Check("security", "label", "info", label),
        Check("security", "seccomp", "info", filters),
    ]


def runtimes(find: Callable[[str], str | None] = find_tool) -> list[Check]:
    """The OCI runtimes of PATH, in the order of native-rootless, with what they say about their version."""
    checks = []
    found = {name: find(name) for name in _RUNTIMES}
    for name, path in found.items():
        if path is None:
            package = _RUNTIMES[name]
            hint = f"apt-get install {package}" if package else "see the documentation of Kata Containers"
            if name == "crun" and not any(found.values()):
                checks.append(
                    Check("runtimes", name, "missing", "not installed: native-rootless needs a runtime", hint)
                )
            else:
                checks.append(Check("runtimes", name, "info", f"not installed ({hint})"))
        else:
            checks.append(Check("runtimes", name, "info", f"{_version(path)} ({path})"))
    return checks


def _version(path: str) -> str:
    """What `--version` says: the first line that names the program, since some name their libraries first."""
    import subprocess

    try:
        done = subprocess.run(
            [path, "--version"], stdin=subprocess.DEVNULL, capture_output=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"cannot be run: {error}"
    lines = (done.stdout or done.stderr).decode(errors="replace").strip().splitlines()
    named = [line for line in lines if os.path.basename(path) in line]
    return (named or lines)[0] if lines else f"says nothing about its version (status {done.returncode})"


def store(root: str) -> list[Check]:
    """Whether the store can be written to, and what room there is."""
    from pywerf.report.text import human_size

    folder = nearest(root)
    if not os.access(folder, os.W_OK | os.X_OK):
        hint = "choose another with --root or WERF_BUILDAH_ROOT"
        return [Check("store", "root", "missing", f"{root}: {folder} cannot be written to", hint)]
    there = "" if folder == root else " (it will be made)"
    space = os.statvfs(folder)
    free = space.f_bavail * space.f_frsize
    checks = [Check("store", "root", "ok", root + there)]
    if free < _ENOUGH_SPACE:
        checks.append(
            Check("store", "space", "missing", f"{human_size(free)} free", "werf host cleanup, or another --root")
        )
    else:
        checks.append(
            Check("store", "space", "ok", f"{human_size(free)} free of {human_size(space.f_blocks * space.f_frsize)}")
        )
    return checks


def nearest(path: str) -> str:
    """The path, or the nearest folder above that exists."""
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return path


def storage(root: str, *, rung: int) -> list[Check]:
    """The drivers. Overlay is tried with a mount beside the store, or above it where there is none yet."""
    checks = []
    if rung >= 4:
        checks.append(Check("storage", "overlay", "info", f"not tried: nothing can be mounted on rung {rung}"))
    else:
        checks.append(_overlay(nearest(root)))
    checks.append(fuse(find_tool("fuse-overlayfs"), wanted=checks[0].state == "missing"))
    checks.append(_check("storage", "vfs", "ok" if rung < 5 else "info", "works everywhere that files can be unpacked"))
    return checks


def fuse(path: str | None, *, wanted: bool, device: str = "/dev/fuse") -> Check:
    """Whether the program can be used; it is missing where it is `wanted`, since the kernel mounts no overlay."""
    detail = "not installed" if path is None else _version(path)
    hint = "" if path is not None else "apt-get install fuse-overlayfs"
    if not os.access(device, os.R_OK | os.W_OK):
        detail += f"; {device} cannot be opened"
        hint = hint or device_hint(device)
    if wanted and hint:
        return Check("storage", "fuse-overlayfs", "missing", detail, hint)
    shown = f" ({hint})" if hint else ""
    return Check("storage", "fuse-overlayfs", "info", f"{detail}{shown}; used where the kernel mounts no overlay")


def device_hint(device: str) -> str:
    """What lets this process open a device."""
    if os.path.exists(device):
        return f"chmod 666 {device}"
    if in_container():
        return f"start this container with --device {device}"
    return f"modprobe {os.path.basename(device)}"


def _overlay(folder: str) -> Check:
    from pywerf.snapshot.probe import probe

    try:
        reason = probe(folder, userxattr=not in_initial_namespace())
    except OSError as error:
        reason = error.strerror or str(error)
    if reason is None:
        return Check("storage", "overlay", "ok", f"can be mounted in {folder}")
    hint = "choose a --root on ext4, xfs or btrfs, with Linux 5.11 or newer for ordinary users; vfs is used until then"
    return Check("storage", "overlay", "missing", reason, hint)


def registries(environ: Mapping[str, str]) -> list[Check]:
    """registries.conf, and the files that credentials are read from."""
    from pywerf.registry.registries_conf import load_registries

    try:
        load_registries(environ)
    except WerfError as error:
        return [Check("registry", "registries.conf", "missing", error.message, error.hint or "correct the file")]
    home = os.path.expanduser("~")
    own = environ.get("CONTAINERS_REGISTRIES_CONF")
    configs = [own] if own else [f"{home}/.config/containers/registries.conf", "/etc/containers/registries.conf"]
    found = next((path for path in configs if os.path.exists(path)), "none: docker.io is searched for short names")
    folder = environ.get("DOCKER_CONFIG") or f"{home}/.docker"
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    auths = [environ.get("REGISTRY_AUTH_FILE", ""), f"{runtime}/containers/auth.json" if runtime else ""]
    auths.append(f"{folder}/config.json")
    present = [path for path in auths if path and os.path.exists(path)]
    return [
        Check("registry", "registries.conf", "ok", found),
        Check("registry", "credentials", "info", ", ".join(present) or "none: werf buildah login keeps some"),
    ]
