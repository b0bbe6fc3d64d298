"""`werf buildah info`: the host, the store, and how containers are run here."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pywerf.oci.platform import host_platform

if TYPE_CHECKING:
    from pywerf.build.session import Session

__all__ = ["info"]


def info(session: Session) -> dict[str, object]:
    """Two objects, `host` and `store`, in buildah's words where it has them."""
    from pywerf.linux.userns import entered

    platform = host_platform()
    kernel = os.uname()
    memory = _meminfo()
    store = session.store
    return {
        "host": {
            "CgroupVersion": "v2" if os.path.exists("/sys/fs/cgroup/cgroup.controllers") else "v1",
            "Distribution": _distribution(),
            "MemFree": memory.get("MemFree", 0),
            "MemTotal": memory.get("MemTotal", 0),
            "SwapFree": memory.get("SwapFree", 0),
            "SwapTotal": memory.get("SwapTotal", 0),
            "arch": platform.architecture,
            "cpus": os.cpu_count() or 1,
            "hostname": kernel.nodename,
            "kernel": kernel.release,
            "os": platform.os,
            "rootless": os.geteuid() != 0 or entered(),
            "uptime": _uptime(),
            "variant": platform.variant,
        },
        "store": {
            "ContainerStore": {"number": 0},
            "GraphDriverName": session.snapshots.driver.name,
            "GraphRoot": store.root,
            "GraphStatus": {"Isolation": "chroot" if session.choice.runtime is None else "oci"},
            "ImageStore": {"number": len(store.images.list())},
            "RunRoot": os.path.join(store.root, "tmp"),
        },
    }


def _meminfo() -> dict[str, int]:
    """/proc/meminfo in bytes (proc(5))."""
    out: dict[str, int] = {}
    with open("/proc/meminfo", encoding="ascii") as file:
        for line in file:
            name, _, rest = line.partition(":")
            number = rest.split()
            if number and number[0].isdigit():
                out[name] = int(number[0]) * 1024
    return out


def _distribution() -> dict[str, str]:
    """os-release(5)."""
    values: dict[str, str] = {}
    try:
        with open("/etc/os-release", encoding="utf-8") as file:
            for line in file:
                name, _, value = line.strip().partition("=")
                values[name] = value.strip('"')
    except FileNotFoundError:
        pass
    return {"distribution": values.get("ID", "unknown"), "version": values.get("VERSION_ID", "unknown")}


def _uptime() -> str:
    with open("/proc/uptime", encoding="ascii") as file:
        seconds = int(float(file.read().split()[0]))
    hours, rest = divmod(seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    return f"{hours}h {minutes}m {seconds}s"
