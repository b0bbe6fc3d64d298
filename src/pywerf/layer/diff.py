"""What changed in a snapshot, as a layer's tar: the same change gives the same bytes whichever driver made it.

One walk serves all drivers. Overlay's upper directory is seen with its whiteouts and opaque marks; a plain
tree (vfs) is seen as an upper directory that hides everything; a tree without a parent has nothing below it.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence

import msgspec

from pywerf.layer.lower import LowerView
from pywerf.layer.tar_write import TarWriter
from pywerf.layer.walk import Walk
from pywerf.layer.xattrs import OVERLAY_OPAQUE

__all__ = ["DiffSummary", "diff_trees", "write_overlay_diff", "write_tree"]


class DiffSummary(msgspec.Struct, frozen=True):
    """How many entries went into the layer; `whiteouts` of them are removals."""

    entries: int
    whiteouts: int

    @property
    def empty(self) -> bool:
        """Nothing changed: there is no layer to make."""
        return self.entries == 0


def write_overlay_diff(
    upper: str,
    lowers: Sequence[str],
    writer: TarWriter,
    *,
    opaque_xattrs: Collection[str] = OVERLAY_OPAQUE,
    ignore: Collection[str] = (),
    whiteout_files: bool = False,
    root_entry: bool = False,
) -> DiffSummary:
    """Write the changes that an overlay's upper directory holds against its lower ones (nearest first).

    The canonical form: entries sorted by the bytes of their names, a directory before its content; removals as
    explicit whiteouts; what is in `upper` but equal to what is below is left out. `ignore`: paths that
    were made as mount points, left out while they are empty. `whiteout_files`: `.wh.NAME` files in these
    directories are removals too, as fuse-overlayfs makes them where it may not mknod. `root_entry`: write
    `./` when the root's own owner, mode or xattrs changed. The caller closes the writer.
    Raises ArchiveError for what cannot be read or stand in a layer; errors of the writer's sink pass through.
    """
    view = LowerView([os.fsencode(lower) for lower in lowers], opaque_xattrs, whiteout_files=whiteout_files)
    walk = Walk(writer, view, ignore, overlay=True, whiteout_files=whiteout_files)
    return _run(walk, writer, upper, root_entry)


def diff_trees(
    new_root: str,
    old_root: str,
    writer: TarWriter,
    *,
    ignore: Collection[str] = (),
    since_ns: int | None = None,
    root_entry: bool = False,
) -> DiffSummary:
    """The same between two whole trees, for drivers that copy.

    `since_ns`: a time by the file system's clock (the ctime of a file made for it), when `new_root` was still an
    exact copy. Files with an older ctime, in folders with an older one, are then not compared by content again.
    """
    walk = Walk(writer, LowerView([os.fsencode(old_root)], ()), ignore, since_ns=since_ns)
    return _run(walk, writer, new_root, root_entry)


def write_tree(
    root: str, writer: TarWriter, *, ignore: Collection[str] = (), whiteout_names: bool = False
) -> DiffSummary:
    """A whole tree, in the same form. `whiteout_names`: the archive is no layer, names as `.wh.x` are just names."""
    walk = Walk(writer, LowerView([], ()), ignore, whiteout_names=whiteout_names)
    return _run(walk, writer, root, root_entry=False)


def _run(walk: Walk, writer: TarWriter, root: str, root_entry: bool) -> DiffSummary:
    before = writer.entries
    walk.run(os.fsencode(root), root_entry=root_entry)
    return DiffSummary(writer.entries - before, walk.whiteouts)
