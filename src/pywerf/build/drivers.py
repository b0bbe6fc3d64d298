"""Chooses, by trying, how snapshots are kept and how containers are run here."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pywerf.errors import IsolationError, SnapshotError

if TYPE_CHECKING:
    from pywerf.build.options import EngineOptions
    from pywerf.isolation.spec import Isolation
    from pywerf.snapshot.base import Snapshotter
    from pywerf.store.store import Store
    from pywerf.util.events import Reporter

__all__ = ["choose_driver", "choose_isolation"]


def choose_driver(store: Store, wanted: str, reporter: Reporter) -> Snapshotter:
    """overlay where it can be mounted; vfs when it is asked for, or as the way out with a warning.

    A store remembers which driver made its snapshots. Raises SnapshotError when overlay is asked for in vain, and
    when the store is of the other driver.
    """
    known = store.memo.get("driver", "name")
    name = known.decode() if known is not None else ""
    if wanted in ("overlay", "vfs") and name and name != wanted:
        raise SnapshotError(
            f"the store {store.root} was made with the {name} driver, not with {wanted}",
            hint="leave --storage-driver out, or use another --root",
        )
    if not name:
        name = "vfs" if wanted == "vfs" else _probe(store, wanted, reporter)
        store.memo.put("driver", "name", name.encode())
    if name == "vfs":
        from pywerf.snapshot.vfs import VfsSnapshotter

        return VfsSnapshotter(store.driver_dir("vfs"))
    from pywerf.snapshot.overlay import OverlaySnapshotter

    return OverlaySnapshotter(store.driver_dir("overlay"))


def _probe(store: Store, wanted: str, reporter: Reporter) -> str:
    """The driver, found out once a store, since trying costs some milliseconds."""
    from pywerf.snapshot.probe import probe

    reason = probe(store.driver_dir("overlay"))
    if reason is None:
        return "overlay"
    if wanted == "overlay":
        raise SnapshotError(f"overlay cannot be used here: {reason}", hint="--storage-driver vfs works everywhere")
    reporter.message("warning", f"overlay cannot be used here ({reason}): falling back to vfs, which is slower")
    return "vfs"


def choose_isolation(options: EngineOptions) -> Isolation:
    """chroot isolation in private namespaces. Raises IsolationError where that cannot be done."""
    if options.mode == "native-rootless" or options.isolation in ("oci", "rootless"):
        raise IsolationError(
            f"{options.mode or options.isolation} isolation is not part of this version",
            hint="use WERF_BUILDAH_MODE=native-chroot (--isolation chroot) as root",
        )
    if os.geteuid() != 0:
        raise IsolationError(
            "running containers needs root in this version",
            hint="run it as root; what has no RUN builds without",
        )
    from pywerf.isolation.chroot import ChrootIsolation

    return ChrootIsolation()
