"""Facts of the machine that are files to read: settings of the kernel, and whether this is a container."""

from __future__ import annotations

import os

__all__ = ["in_container", "in_initial_namespace", "is_container_cgroup", "open_to_all", "read_number", "read_text"]

_TRUE = ("1", "t", "true", "yes", "on")
_FALSE = ("0", "f", "false", "no", "off")
_CGROUP_WORDS = ("docker", "kubepods", "containerd", "libpod", "lxc", "crio", "garden")


def read_text(path: str) -> str:
    """A small file; empty when it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def open_to_all(folder: str) -> bool:
    """Whether it is there, and everybody may enter it, and all that are above it."""
    here = os.path.realpath(folder)
    try:
        while os.stat(here).st_mode & 0o001:
            if here == "/":
                return os.path.isdir(folder)
            here = os.path.dirname(here)
    except OSError:
        return False
    return False


def read_number(path: str) -> int | None:
    """The number in a file of /proc/sys; None when there is no such setting."""
    text = read_text(path).strip()
    return int(text) if text.lstrip("-").isdigit() else None


def in_initial_namespace() -> bool:
    """Whether ids mean what they mean on the machine: this is no user namespace but the first."""
    return read_text("/proc/self/uid_map").split() == ["0", "0", "4294967295"]


def in_container() -> bool:
    """Whether this process lives in a container: `WERF_CONTAINERIZED` says so, or what runtimes leave there does."""
    said = os.environ.get("WERF_CONTAINERIZED", "").strip().lower()
    if said in _TRUE or said in _FALSE:
        return said in _TRUE
    if os.path.exists("/.dockerenv") or os.path.exists("/run/.containerenv"):
        return True
    return is_container_cgroup(read_text("/proc/1/cgroup"), read_text("/proc/self/mountinfo"))


def is_container_cgroup(cgroup: str, mountinfo: str) -> bool:
    """What /proc/1/cgroup names and, on cgroup v2 with a namespace of its own (`0::/`), what is mounted tells."""
    for line in cgroup.splitlines():
        path = line.split(":", 2)[-1]
        if any(word in path for word in _CGROUP_WORDS):
            return True
    if cgroup.strip() != "0::/":
        return False
    for line in mountinfo.splitlines():
        fields = line.split()
        # Runtimes bind these files from the folder of the container.
        if len(fields) > 4 and fields[4] in ("/etc/hostname", "/etc/hosts") and "containers/" in fields[3]:
            return True
    return False
