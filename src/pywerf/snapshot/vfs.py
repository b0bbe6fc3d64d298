"""Snapshots as whole copies: works on every file system and without any mount, at the price of the copies.

ROOT/ID         all files of the snapshot
ROOT/.new-ID    a copy that is being made
"""

from __future__ import annotations

import os
from typing import Literal

from pywerf.errors import SnapshotError
from pywerf.linux.copytree import copy_tree
from pywerf.linux.dirtree import DirectoryTree
from pywerf.linux.mount import Mount
from pywerf.linux.removal import remove_tree
from pywerf.snapshot.base import Snapshot
from pywerf.util.filetree import FileTree

__all__ = ["VfsSnapshotter"]


class VfsSnapshotter:
    """The vfs driver; `root` is ROOT/snapshots/vfs of the store. See `Snapshotter` for what its methods promise.

    `devices`: in this user namespace empty files may stand for devices (`linux.devices`).
    `parents` of its snapshots tell where they came from; they do not need them any more. A committed snapshot has
    no mark on disk: the value says it.
    """

    name = "vfs"
    layer_form: Literal["overlay", "plain"] = "plain"
    xattr_namespace: Literal["trusted", "user"] = "trusted"
    independent_layers = False

    def __init__(self, root: str, *, devices: bool = False) -> None:
        self.root = root
        self.devices = devices

    def exists(self, id: str) -> bool:
        """See SnapshotReader."""
        return os.path.isdir(self._path(id))

    def prepare(self, id: str, parent: Snapshot | None) -> Snapshot:
        """See Snapshotter. Copies all files of `parent`, which must be complete."""
        path = self._path(id)
        snapshot = Snapshot(id, self.name, () if parent is None else (parent.id, *parent.parents))
        if os.path.isdir(path):
            return snapshot
        new = f"{self.root}/.new-{id}"
        try:
            os.makedirs(self.root, exist_ok=True)
            remove_tree(new)
            os.mkdir(new)
            os.chmod(new, 0o755)
            if parent is not None:
                copy_tree(self._path(parent.id), new)
            os.rename(new, path)
        except OSError as error:
            raise SnapshotError(f"cannot make snapshot {id}: {error}") from error
        return snapshot

    def commit(self, snapshot: Snapshot) -> Snapshot:
        """See Snapshotter."""
        self._existing(snapshot)
        return Snapshot(snapshot.id, self.name, snapshot.parents, True)

    def rootfs(self, snapshot: Snapshot, *, stubs: str | None = None, writable: bool = True) -> Mount:
        """See Snapshotter. There is nothing below a copy: `stubs` is not used, mount points are made in it."""
        if writable and snapshot.committed:
            raise SnapshotError(f"snapshot {snapshot.id} is committed: it cannot be mounted writable")
        return Mount("bind", self._existing(snapshot), "", ("bind",) if writable else ("bind", "ro"))

    def layer_dir(self, snapshot: Snapshot) -> str:
        """See Snapshotter: all files; a layer is unpacked over those of its parent, whiteouts remove."""
        return self._path(snapshot.id)

    def view(self, snapshot: Snapshot) -> FileTree:
        """See Snapshotter."""
        return DirectoryTree(self._existing(snapshot), live=not snapshot.committed, devices=self.devices)

    def release(self, mount: Mount) -> None:
        """See Snapshotter: nothing is held for a mount."""

    def remove(self, id: str) -> None:
        """See Snapshotter."""
        gone = f"{self.root}/.gone-{id}"
        try:
            remove_tree(gone)
            try:
                os.rename(self._path(id), gone)
            except FileNotFoundError:
                return
            remove_tree(gone)
        except OSError as error:
            raise SnapshotError(f"cannot remove snapshot {id}: {error}") from error

    def _path(self, id: str) -> str:
        if not id or "/" in id or id.startswith("."):
            raise SnapshotError(f"invalid snapshot id {id!r}")
        return f"{self.root}/{id}"

    def _existing(self, snapshot: Snapshot) -> str:
        path = self._path(snapshot.id)
        if not os.path.isdir(path):
            raise SnapshotError(f"snapshot {snapshot.id} does not exist", hint="build again with --no-cache")
        return path
