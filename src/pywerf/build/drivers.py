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


def choose_driver(
    store: Store, wanted: str, reporter: Reporter, *, mounts: bool = True, program: str = ""
) -> Snapshotter:
    """overlay where it can be mounted, by the kernel or by fuse-overlayfs; vfs when it is asked for, or as the way out
    with a warning. Without `mounts` (rung 4) it is vfs.

    `program` is a fuse-overlayfs that shall mount overlay in any case. A store remembers which driver made its
    snapshots, what mounts them, and for whose ids. Raises SnapshotError when overlay is asked for in vain, and when
    the store is of the other driver, or of another user namespace.
    """
    known = store.memo.get("driver", "name")
    name = known.decode() if known is not None else ""
    wanted = "" if wanted in ("auto", "default") else wanted
    if program and wanted == "vfs":
        raise SnapshotError("mount_program is for the overlay driver, not for vfs", hint="leave one of the two out")
    wanted = wanted or ("overlay" if program else "")
    if not mounts and "overlay" in (wanted, name):
        raise SnapshotError(
            f"overlay cannot be used on rung 4 of the ladder (chroot as root, without mounts): {_whose(store, name)}",
            hint="leave --storage-driver out (vfs works there)" if name != "overlay" else "use another --root",
        )
    if wanted and name and name != wanted:
        raise SnapshotError(
            f"the store {store.root} was made with the {name} driver, not with {wanted}",
            hint=f"leave --storage-driver out, or use another --root: images get there with `werf buildah push IMAGE "
            f"oci:DIR` and, with --storage-driver {wanted} --root ROOT, `werf buildah pull oci:DIR`",
        )
    ids = _ids()
    if name:
        _check_ids(store, ids)
    if wanted == "vfs" or not mounts or name == "vfs":
        mounted_by: str | None = None
    else:
        mounted_by = _mounted_by(store, wanted or name, program, reporter, userxattr=bool(ids))
    if not name:
        store.memo.put("driver", "ids", ids.encode())
        store.memo.put("driver", "name", b"vfs" if mounted_by is None else b"overlay")
    if mounted_by is None:
        from pywerf.snapshot.vfs import VfsSnapshotter

        return VfsSnapshotter(store.driver_dir("vfs"), devices=bool(ids) or _stands_for_devices(store, mounts))
    if mounted_by:
        from pywerf.snapshot.fuse import FuseSnapshotter

        return FuseSnapshotter(store.driver_dir("overlay"), mounted_by, userxattr=bool(ids))
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
    return f"the store {store.root} was made with it" if name == "overlay" else "it is mounted"


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
    from pywerf.linux.facts import in_initial_namespace, read_text

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


_KERNEL, _FUSE = b"kernel", b"fuse-overlayfs"


def _mounted_by(store: Store, wanted: str, program: str, reporter: Reporter, *, userxattr: bool) -> str | None:
    """What mounts overlay here: "" the kernel, else the path of a fuse-overlayfs; None: nothing, and vfs will do.

    The kernel is asked first, once a store, since trying costs some milliseconds. Both leave the same on disk, so that
    a store may change from one to the other. Raises SnapshotError.
    """
    folder = store.driver_dir("overlay")
    if program:
        reason = _try_fuse(folder, program, userxattr=userxattr)
        if reason is not None:
            raise SnapshotError(f"overlay cannot be mounted by {program}: {reason}", hint=_FUSE_HINT)
        return program
    remembered = store.memo.get("driver", "mounted by")
    if remembered is None and store.memo.get("driver", "name") is not None:
        remembered = _KERNEL
    if remembered == _KERNEL:
        return ""
    from pywerf.linux.userns import find_tool

    found = find_tool("fuse-overlayfs") or ""
    if remembered == _FUSE and found:
        return found
    from pywerf.snapshot.probe import probe

    reason = probe(folder, userxattr=userxattr)
    if reason is None:
        store.memo.put("driver", "mounted by", _KERNEL)
        return ""
    without = _try_fuse(folder, found, userxattr=userxattr)
    if without is None:
        store.memo.put("driver", "mounted by", _FUSE)
        reporter.message("info", f"overlay is mounted by {found}, not by the kernel ({reason})")
        return found
    both = f"by the kernel: {reason}; by fuse-overlayfs: {without}"
    if wanted == "overlay":
        raise SnapshotError(
            f"overlay cannot be used here: {both}", hint=f"--storage-driver vfs works everywhere; or {_FUSE_HINT}"
        )
    reporter.message("warning", f"overlay cannot be used here ({both}): falling back to vfs, which is slower")
    return None


_FUSE_HINT = "apt-get install fuse-overlayfs, and give this user /dev/fuse (in a container: --device /dev/fuse)"


def _try_fuse(folder: str, program: str, *, userxattr: bool) -> str | None:
    """Why overlay cannot be mounted by fuse-overlayfs; None when it can."""
    import os

    if not program:
        return "it is not installed"
    if not os.access(program, os.X_OK):
        return f"{program} cannot be executed"
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        return "/dev/fuse cannot be opened" if os.path.exists("/dev/fuse") else "there is no /dev/fuse"
    from pywerf.snapshot.probe import probe_fuse

    return probe_fuse(folder, program, userxattr=userxattr)


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

        return OciIsolation(choice.runtime, keep=keep_bundles, ids=choice.ids)
    from pywerf.build.own_users import own_ids
    from pywerf.isolation.chroot import ChrootIsolation

    return ChrootIsolation(ids=own_ids)
