"""Every way to run containers that the tests compare: chroot isolation, OCI isolation with each runtime; as root, and
in user namespaces of the containers' own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from pywerf.isolation.chroot import ChrootIsolation
from pywerf.isolation.oci import OciIsolation
from pywerf.isolation.runtimes import find_runtime
from pywerf.isolation.spec import ContainerSpec, IdMap, Isolation
from pywerf.isolation.user_namespace import RootIds
from pywerf.linux.userns import find_tool

__all__ = ["HOST_KERNEL", "IMPLEMENTATIONS", "MAPPED"]

IDS = RootIds((IdMap(0, 500_000, 65_536),), (IdMap(0, 600_000, 65_536),))


class MappedChroot(ChrootIsolation):
    """Chroot isolation whose containers all ask for a user namespace."""

    def __init__(self) -> None:
        super().__init__(ids=lambda: IDS)

    def _plan(self, spec: ContainerSpec, cgroups: tuple[str, ...], stdin: int) -> dict[str, Any]:
        wanted = msgspec.structs.replace(spec.namespaces, user=spec.namespaces.user or "private")
        return super()._plan(msgspec.structs.replace(spec, namespaces=wanted), cgroups, stdin)


def _with(runtime: str, ids: RootIds | None = None) -> Callable[[], Isolation]:
    return lambda: OciIsolation(find_runtime(runtime, find_tool), ids=ids)


MAPPED: dict[str, Callable[[], Isolation]] = {
    "chroot-mapped": MappedChroot,
    "crun-mapped": _with("crun", IDS),
    "runc-mapped": _with("runc", IDS),
}
# Those whose commands see the host's kernel: not gVisor's, whose /proc, /dev and names of things are its own.
HOST_KERNEL: dict[str, Callable[[], Isolation]] = {
    "chroot": ChrootIsolation,
    "crun": _with("crun"),
    "runc": _with("runc"),
    **MAPPED,
}
IMPLEMENTATIONS = {**HOST_KERNEL, "runsc": _with("runsc")}
