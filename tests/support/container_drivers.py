"""Every way to run containers that the tests compare: chroot isolation, and OCI isolation with each runtime."""

from __future__ import annotations

from collections.abc import Callable

from pywerf.isolation.chroot import ChrootIsolation
from pywerf.isolation.oci import OciIsolation
from pywerf.isolation.runtimes import find_runtime
from pywerf.isolation.spec import Isolation
from pywerf.linux.userns import find_tool

__all__ = ["IMPLEMENTATIONS"]


def _with(runtime: str) -> Callable[[], Isolation]:
    return lambda: OciIsolation(find_runtime(runtime, find_tool))


IMPLEMENTATIONS: dict[str, Callable[[], Isolation]] = {
    "chroot": ChrootIsolation,
    "crun": _with("crun"),
    "runc": _with("runc"),
}
