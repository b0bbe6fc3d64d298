"""Every way to run containers that the tests compare: chroot isolation, and OCI isolation with each runtime."""

from __future__ import annotations

from collections.abc import Callable

from pywerf.isolation.chroot import ChrootIsolation
from pywerf.isolation.oci import OciIsolation
from pywerf.isolation.runtimes import find_runtime
from pywerf.isolation.spec import Isolation
from pywerf.linux.userns import find_tool

__all__ = ["HOST_KERNEL", "IMPLEMENTATIONS"]


def _with(runtime: str) -> Callable[[], Isolation]:
    return lambda: OciIsolation(find_runtime(runtime, find_tool))


# Those whose commands see the host's kernel: not gVisor's, whose /proc, /dev and names of things are its own.
HOST_KERNEL: dict[str, Callable[[], Isolation]] = {
    "chroot": ChrootIsolation,
    "crun": _with("crun"),
    "runc": _with("runc"),
}
IMPLEMENTATIONS = {**HOST_KERNEL, "runsc": _with("runsc")}
