"""Where a container's cgroups go and what is written into them, on v1, v2 and hybrid hosts (cgroups(7)). Pure.

Limits are needed in few hierarchies: a v1 controller has one of its own, v2 has one for all. A container's cgroup is
below ours; on v2, where a cgroup with processes cannot pass controllers on, it is beside us, or further up, in the
first that can.
"""

from __future__ import annotations

import posixpath

import msgspec

from pywerf.errors import IsolationError
from pywerf.isolation.spec import Resources

__all__ = [
    "FLAGS",
    "Hierarchy",
    "Place",
    "Setting",
    "find_hierarchies",
    "hierarchy_mode",
    "place_cgroups",
    "settings_v1",
    "settings_v2",
]

# What asks for a controller, for messages.
FLAGS = {
    "memory": "--memory",
    "cpu": "--cpu-shares, --cpu-quota and --cpu-period",
    "cpuset": "--cpuset-cpus and --cpuset-mems",
    "": "--cgroup-parent",
}


class Hierarchy(msgspec.Struct, frozen=True):
    """A mounted hierarchy. `own` and `init` are our cgroup and that of process 1 in it, from the mount (`/a/b`).

    `controllers` are those of the mount (v1), or those that its root has to give (v2).
    """

    version: int
    mount: str
    controllers: tuple[str, ...]
    own: str = "/"
    init: str = "/"


class Setting(msgspec.Struct, frozen=True):
    """A value for a file of a cgroup. `optional`: a default, left out where the kernel has no such file."""

    controller: str
    file: str
    value: str
    optional: bool = False


class Place(msgspec.Struct, frozen=True):
    """A cgroup to make in one hierarchy: below the first of `parents` that works; `fixed` parents may be made, too."""

    hierarchy: Hierarchy
    parents: tuple[str, ...]
    controllers: tuple[str, ...]
    settings: tuple[Setting, ...]
    fixed: bool = False


def hierarchy_mode(mountinfo: str) -> tuple[str, str]:
    """`v1`, `v2`, `hybrid` or `none` by what /proc/self/mountinfo shows, and where the v2 hierarchy is mounted."""
    version_1, version_2 = False, ""
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        kind = after.split(" ", 1)[0]
        version_1 |= kind == "cgroup"
        if kind == "cgroup2" and not version_2:
            version_2 = _unescape(before.split(" ")[4])
    if version_2:
        return "hybrid" if version_1 else "v2", version_2
    return "v1" if version_1 else "none", ""


def find_hierarchies(mountinfo: str, own: str, init: str, v2_controllers: tuple[str, ...]) -> tuple[Hierarchy, ...]:
    """The hierarchies of /proc/self/mountinfo, with the paths of /proc/self/cgroup and /proc/1/cgroup.

    `v2_controllers` is what cgroup.controllers of v2's root says.
    """
    ours, inits = _paths(own), _paths(init)
    found: list[Hierarchy] = []
    seen: set[str] = set()
    for line in mountinfo.splitlines():
        before, separator, after = line.partition(" - ")
        fields, kind = before.split(" "), after.split(" ")
        if not separator or len(fields) < 5 or len(kind) < 3 or kind[0] not in ("cgroup", "cgroup2"):
            continue
        root, mount = _unescape(fields[3]), _unescape(fields[4])
        if kind[0] == "cgroup2":
            key, controllers = "", v2_controllers
        else:
            options = kind[2].split(",")
            key = next((name for name in ours if name and set(name.split(",")) <= set(options)), "-")
            if key == "-":
                continue
            controllers = tuple(key.split(","))
        if key in seen or key not in ours:
            continue  # mounted a second time
        seen.add(key)
        found.append(
            Hierarchy(
                2 if kind[0] == "cgroup2" else 1,
                mount,
                controllers,
                _below(ours[key], root),
                _below(inits.get(key, "/"), root),
            )
        )
    return tuple(found)


def _paths(text: str) -> dict[str, str]:
    """Cgroup by controllers (v2: the empty name) from lines `4:memory:/a/b`."""
    rows = (line.split(":", 2) for line in text.splitlines())
    return {row[1]: row[2] for row in rows if len(row) == 3}


def _below(path: str, root: str) -> str:
    """A cgroup's path from the mount, of which `root` is the cgroup that it shows."""
    if root != "/":
        path = path[len(root) :] if path == root or path.startswith(f"{root}/") else "/"
    return path if path.startswith("/") and "/.." not in path else "/"


def _unescape(field: str) -> str:
    """A path of mountinfo: blanks and backslashes are octal there (proc_pid_mountinfo(5))."""
    for octal, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        field = field.replace(octal, character)
    return field


def settings_v1(resources: Resources) -> tuple[Setting, ...]:
    """The files of v1's controllers (Documentation/admin-guide/cgroup-v1), in the order that they need."""
    found = []
    if resources.memory is not None:
        found.append(Setting("memory", "memory.limit_in_bytes", str(resources.memory)))
        swap = resources.memory_swap
        default = 2 * resources.memory if resources.memory > 0 else -1
        found.append(
            Setting("memory", "memory.memsw.limit_in_bytes", str(default if swap is None else swap), swap is None)
        )
    for file, value in (
        ("cpu.shares", resources.cpu_shares),
        ("cpu.cfs_period_us", resources.cpu_period),
        ("cpu.cfs_quota_us", resources.cpu_quota),
    ):
        if value is not None:
            found.append(Setting("cpu", file, str(value)))
    return (*found, *_cpusets(resources))


def settings_v2(resources: Resources) -> tuple[Setting, ...]:
    """The files of v2's controllers (Documentation/admin-guide/cgroup-v2.rst)."""
    found = []
    if resources.memory is not None:
        found.append(Setting("memory", "memory.max", str(resources.memory) if resources.memory > 0 else "max"))
        swap = resources.memory_swap
        # v1's limit is of memory and swap together, v2's of swap alone.
        alone = resources.memory if swap is None else "max" if swap < 0 else swap - resources.memory
        found.append(Setting("memory", "memory.swap.max", str(alone), swap is None))
    if resources.cpu_shares is not None:
        found.append(Setting("cpu", "cpu.weight", str(cpu_weight(resources.cpu_shares))))
    if resources.cpu_quota is not None or resources.cpu_period is not None:
        quota = "max" if resources.cpu_quota is None or resources.cpu_quota < 0 else str(resources.cpu_quota)
        found.append(Setting("cpu", "cpu.max", f"{quota} {resources.cpu_period or 100_000}"))
    return (*found, *_cpusets(resources))


def cpu_weight(shares: int) -> int:
    """v1's shares (2 to 262144) as v2's weight (1 to 10000), in OCI runtimes' way."""
    shares = min(max(shares, 2), 262_144)
    return 1 + (shares - 2) * 9999 // 262_142


def _cpusets(resources: Resources) -> tuple[Setting, ...]:
    pairs = (("cpuset.cpus", resources.cpuset_cpus), ("cpuset.mems", resources.cpuset_mems))
    return tuple(Setting("cpuset", file, value) for file, value in pairs if value)


def place_cgroups(resources: Resources, parent: str, hierarchies: tuple[Hierarchy, ...]) -> tuple[Place, ...]:
    """The cgroups that a container needs: one a hierarchy that has a wanted controller; with a `parent` one in each.

    Raises IsolationError for a controller that no hierarchy has, and for a parent that is no path.
    """
    if ".." in parent.split("/"):
        raise IsolationError(f"--cgroup-parent {parent}: a path cannot have `..`", hint="write an absolute path")
    wanted = dict.fromkeys(setting.controller for setting in settings_v1(resources))
    for controller in wanted:
        if not any(controller in hierarchy.controllers for hierarchy in hierarchies):
            raise IsolationError(
                f"{FLAGS[controller]}: this machine has no cgroup hierarchy with the {controller} controller",
                hint="mount one, or boot with the controller enabled; `werf host doctor` shows those that are there",
            )
    places = []
    for hierarchy in hierarchies:
        controllers = tuple(name for name in wanted if name in hierarchy.controllers)
        if not controllers and not parent:
            continue
        settings = settings_v1(resources) if hierarchy.version == 1 else settings_v2(resources)
        places.append(
            Place(
                hierarchy,
                _parents(hierarchy, parent),
                controllers,
                tuple(setting for setting in settings if setting.controller in controllers),
                fixed=bool(parent),
            )
        )
    if parent and not places:
        raise IsolationError("--cgroup-parent: this machine has no cgroup hierarchy", hint="mount cgroup2")
    return tuple(places)


def _parents(hierarchy: Hierarchy, parent: str) -> tuple[str, ...]:
    """Folders that may hold the cgroup, the best one first."""
    if parent:
        return (_join(hierarchy.mount, posixpath.join(hierarchy.init, parent)),)
    if hierarchy.version == 1:
        return (_join(hierarchy.mount, hierarchy.own),)
    found = []
    path = posixpath.normpath(hierarchy.own)
    while True:
        found.append(_join(hierarchy.mount, path))
        if path in ("/", ""):
            return tuple(found)
        path = posixpath.dirname(path)


def _join(mount: str, path: str) -> str:
    return posixpath.normpath(f"{mount}/{path}")
