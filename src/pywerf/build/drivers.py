"""Chooses, by trying, how snapshots are kept and how containers are run here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pywerf.errors import SnapshotError

if TYPE_CHECKING:
    from pywerf.backend.buildah.snapshots import Snapshots
    from pywerf.isolation.ladder import Choice
    from pywerf.isolation.spec import Isolation
    from pywerf.snapshot.base import Snapshotter
    from pywerf.store.store import Store
    from pywerf.util.events import Reporter

__all__ = ["choose_driver", "choose_isolation", "without_snapshots"]


def choose_driver(store: Store, wanted: str, reporter: Reporter, *, mounts: bool = True) -> Snapshotter:
    """overlay where it can be mounted; vfs when it is asked for, or as the way out with a warning.

    Without `mounts` (rung 4) it is vfs.
    A store remembers which driver made its snapshots, and for whose ids. Raises SnapshotError when overlay is asked
    for in vain, and when the store is of the other driver, or of another user namespace.
    """
    known = store.memo.get("driver", "name")
    name = known.decode() if known is not None else ""
    if wanted in ("overlay", "vfs") and name and name != wanted:
        raise SnapshotError(
            f"the store {store.root} was made with the {name} driver, not with {wanted}",
            hint="leave --storage-driver out, or use another --root",
        )
    if not mounts and "overlay" in (wanted, name):
        raise SnapshotError(
            f"overlay cannot be used on rung 4 of the ladder (chroot as root, without mounts): {_whose(store, name)}",
            hint="leave --storage-driver out (vfs works there)" if not name else "use another --root",
        )
    ids = _ids()
    if not name:
        name = "vfs" if wanted == "vfs" or not mounts else _probe(store, wanted, reporter, userxattr=bool(ids))
        store.memo.put("driver", "ids", ids.encode())
        store.memo.put("driver", "name", name.encode())
    else:
        _check_ids(store, ids)
    if name == "vfs":
        from pywerf.snapshot.vfs import VfsSnapshotter

        return VfsSnapshotter(store.driver_dir("vfs"), devices=bool(ids) or _stands_for_devices(store, mounts))
    from pywerf.snapshot.overlay import OverlaySnapshotter

    return OverlaySnapshotter(store.driver_dir("overlay"), userxattr=bool(ids))


def without_snapshots(store: Store, wanted: str) -> Snapshots:
    """Where nothing can be unpacked: files are read from blobs. Raises SnapshotError when a driver is asked for."""
    from pywerf.backend.buildah.blob_snapshots import BlobSnapshots

    if wanted in ("overlay", "vfs"):
        raise SnapshotError(
            f"the {wanted} driver cannot be used on rung 5 of the ladder (neither root nor namespaces)",
            hint="leave --storage-driver out: what needs no RUN builds without (see `werf host doctor`)",
        )
    return BlobSnapshots(store)


def _whose(store: Store, name: str) -> str:
    return f"the store {store.root} was made with it" if name else "it is mounted"


def _stands_for_devices(store: Store, mounts: bool) -> bool:
    """Whether files of the store may stand for devices: some were made where nobody makes device nodes."""
    from pywerf.linux import caps

    if store.memo.get("driver", "devices") is not None:
        return True
    if mounts or "CAP_MKNOD" in caps.effective():
        return False
    store.memo.put("driver", "devices", b"stand-ins")
    return True


def _ids() -> str:
    """The mapping of user and group ids that files here have been given; empty in the initial user namespace."""
    from pywerf.linux.facts import read_text
    from pywerf.linux.userns import in_initial_namespace

    if in_initial_namespace():
        return ""
    maps = (read_text(f"/proc/self/{name}").split() for name in ("uid_map", "gid_map"))
    return " / ".join(" ".join(words) for words in maps)


def _check_ids(store: Store, ids: str) -> None:
    """The files of a snapshot belong to other users when ids are mapped otherwise than when it was made."""
    kept = store.memo.get("driver", "ids")
    made = kept.decode() if kept is not None else ""
    if made == ids:
        return
    whose = f"a user namespace with the ids {made}" if made else "the machine's own ids"
    now = f"a user namespace with the ids {ids}" if ids else "the machine's own ids"
    raise SnapshotError(
        f"the store {store.root} was made with {whose}, and this process has {now}: its files would change owners",
        hint="call werf as the user who made the store, or use another --root",
    )


def _probe(store: Store, wanted: str, reporter: Reporter, *, userxattr: bool) -> str:
    """The driver, found out once a store, since trying costs some milliseconds."""
    from pywerf.snapshot.probe import probe

    reason = probe(store.driver_dir("overlay"), userxattr=userxattr)
    if reason is None:
        return "overlay"
    if wanted == "overlay":
        raise SnapshotError(f"overlay cannot be used here: {reason}", hint="--storage-driver vfs works everywhere")
    reporter.message("warning", f"overlay cannot be used here ({reason}): falling back to vfs, which is slower")
    return "vfs"


def choose_isolation(choice: Choice, reporter: Reporter, *, keep_bundles: bool = False) -> Isolation:
    """An OCI runtime where that was asked for, else chroot isolation: in private namespaces, or plain.

    Raises IsolationError on a rung that has no containers.
    """
    if not choice.has_containers:
        from pywerf.isolation.ladder import RUNGS, no_containers

        raise no_containers(choice, f"a command cannot be run on rung {choice.rung} ({RUNGS[choice.rung]})")
    if not choice.has_mounts:
        from pywerf.isolation.plain import PlainIsolation, shortcomings

        for text in shortcomings():
            reporter.message("warning", text)
        return PlainIsolation()
    if choice.runtime is not None:
        from pywerf.isolation.oci import OciIsolation

        return OciIsolation(choice.runtime, keep=keep_bundles)
    from pywerf.isolation.chroot import ChrootIsolation

    return ChrootIsolation()
