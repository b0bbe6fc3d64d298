"""What stands in /dev, /proc and /sys of a container in which nothing can be mounted.

/dev has the nodes that runtimes give, made where that is allowed. /proc has copies of a few files that tell about the
machine, and nothing of processes: no `self/fd`, no `self/exe`. /dev/stderr is a pipe to the step's standard error.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from pywerf.isolation.plan import DEVICE_LINKS, DEVICES
from pywerf.linux.emulated_mounts import Make, device, empty_folder, file_of, folder_of, symlink_to

__all__ = ["kernel_file_systems"]

PROC = ("cpuinfo", "devices", "filesystems", "loadavg", "meminfo", "stat", "uptime", "version", "vmstat")
PROC_SYS = (
    "fs/file-max",
    "fs/nr_open",
    "kernel/cap_last_cap",
    "kernel/ngroups_max",
    "kernel/osrelease",
    "kernel/ostype",
    "kernel/pid_max",
    "kernel/random/boot_id",
    "kernel/threads-max",
    "kernel/version",
    "vm/overcommit_memory",
)
SYS = ("devices/system/cpu/online", "devices/system/cpu/possible", "devices/system/cpu/present")
MOUNTS = b"rootfs / rootfs rw 0 0\n"
MOUNTINFO = b"1 1 0:1 / / rw - rootfs rootfs rw\n"


def kernel_file_systems() -> Iterator[tuple[str, Make]]:
    """(target, what makes it), in the order in which they are mounted elsewhere."""
    own: dict[str, bytes] = {"mounts": MOUNTS, "mountinfo": MOUNTINFO}
    proc = _tree("/proc", (*PROC, *(f"sys/{path}" for path in PROC_SYS)))
    proc["self"] = folder_of({name: file_of(data, 0o444) for name, data in own.items()}, 0o555)
    proc["mounts"] = symlink_to("self/mounts")
    yield "/proc", folder_of(proc, 0o555)
    yield "/sys", folder_of(_tree("/sys", SYS), 0o555)
    dev: dict[str, Make] = {name: device(major, minor) for name, major, minor in DEVICES}
    dev |= {name: symlink_to(target) for target, name in DEVICE_LINKS if name not in ("stderr", "ptmx")}
    dev |= {"stderr": _pipe, "pts": empty_folder(0o755), "shm": empty_folder(0o1777), "mqueue": empty_folder(0o1777)}
    yield "/dev", folder_of(dev, 0o755)


def _tree(source: str, paths: tuple[str, ...]) -> dict[str, Make]:
    """Copies of those files of the host that are there."""
    below: dict[str, list[str]] = {}
    made: dict[str, Make] = {}
    for path in paths:
        first, slash, rest = path.partition("/")
        if slash:
            below.setdefault(first, []).append(rest)
        elif (data := _read(f"{source}/{path}")) is not None:
            made[path] = file_of(data, 0o444)
    for name, rest_paths in below.items():
        made[name] = folder_of(_tree(f"{source}/{name}", tuple(rest_paths)), 0o555)
    return made


def _read(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return None  # not in this kernel, or hidden


def _pipe(folder: int, name: str) -> None:
    os.mkfifo(name, 0o666, dir_fd=folder)
    os.chmod(name, 0o666, dir_fd=folder)
