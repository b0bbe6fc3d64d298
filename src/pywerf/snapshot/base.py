"""Snapshots as values, and the Protocol of what keeps them: a stack of directories, or whole copies."""

from __future__ import annotations

from typing import Literal, Protocol

import msgspec

from pywerf.errors import SnapshotError
from pywerf.linux.mount import Mount
from pywerf.oci.document import json_decoder
from pywerf.util.filetree import FileTree

__all__ = ["Snapshot", "SnapshotReader", "Snapshotter"]


class Snapshot(msgspec.Struct, frozen=True):
    """The files of a container or of an image up to one of its layers; JSON keeps it between processes.

    `id` is a name without `/`, as the store gives them out. `parents` are the ids below it, nearest first. A
    committed snapshot does not change any more and may be the parent of others.
    """

    id: str
    driver: str
    parents: tuple[str, ...] = ()
    committed: bool = False

    def to_json(self) -> bytes:
        """The value as a JSON object."""
        return msgspec.json.encode(self)

    @classmethod
    def from_json(cls, data: bytes | str) -> Snapshot:
        """What `to_json` wrote. Raises SnapshotError for anything else."""
        try:
            return json_decoder(Snapshot).decode(data)
        except msgspec.DecodeError as error:
            raise SnapshotError(f"damaged record of a snapshot: {error}") from error


class SnapshotReader(Protocol):
    """Where snapshots are, and what is in them. Any thread may call."""

    @property
    def name(self) -> str:
        """`overlay` or `vfs`: the `driver` of its snapshots, and the name of its folder."""

    @property
    def layer_form(self) -> Literal["overlay", "plain"]:
        """How a layer is unpacked into `layer_dir`: whiteouts as overlay has them, or carried out."""

    @property
    def xattr_namespace(self) -> Literal["trusted", "user"]:
        """Where overlay keeps its marks (`trusted.overlay.opaque`); has no meaning for `plain`."""

    @property
    def independent_layers(self) -> bool:
        """Whether a snapshot may be prepared and filled before its parent is complete."""

    def exists(self, id: str) -> bool:
        """Whether there is a snapshot of that id."""

    def layer_dir(self, snapshot: Snapshot) -> str:
        """The directory into which its layer is unpacked.

        overlay: the layer's own files (with whiteouts in overlay's form); vfs: all files.
        """

    def view(self, snapshot: Snapshot) -> FileTree:
        """All files as a tree, without mounting. Of a snapshot that is not committed, always its present state."""


class Snapshotter(SnapshotReader, Protocol):
    """A way to keep snapshots. Any thread may call; no two at once for the same id.

    What keeps a snapshot from being collected while it is used are the store's leases, not the driver.
    """

    def prepare(self, id: str, parent: Snapshot | None) -> Snapshot:
        """A writable snapshot with the files of `parent` (None: empty).

        Idempotent: an existing one is returned as it is, with all that was written. Atomic: after a
        crash it is there whole, or not at all. Raises SnapshotError.
        """

    def commit(self, snapshot: Snapshot) -> Snapshot:
        """The same snapshot, frozen: nobody writes to it from now on. Idempotent; cheap (no copy, no sync).

        Raises SnapshotError when it does not exist.
        """

    def rootfs(self, snapshot: Snapshot, *, stubs: str | None = None, writable: bool = True) -> Mount:
        """What a container mounts as its root, with an empty target. Nothing is mounted here.

        `stubs` is a directory with nothing but mount points, put under everything where the driver can do
        so: what is mounted over them leaves no trace in the snapshot. A committed snapshot cannot be
        writable. A mount that is not writable must not be in use while somebody writes to the snapshot.
        Raises SnapshotError.
        """

    def release(self, mount: Mount) -> None:
        """Nobody needs what `rootfs` gave any more: its container has ended, or was never started. Idempotent.

        `commit` and `remove` do so for all mounts of their snapshot.
        """

    def remove(self, id: str) -> None:
        """Remove a snapshot that nothing stands on. Idempotent; after a crash it is gone or can be removed again.

        Raises SnapshotError.
        """
