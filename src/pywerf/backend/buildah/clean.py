"""Takes mount points that a container needed out of its snapshot again, when nothing was put into them."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence

__all__ = ["remove_mount_points"]


def remove_mount_points(upper: str, created: Sequence[str]) -> None:
    """Remove `created` (relative paths, parents before children) from an overlay upper directory.

    Only empty directories and empty files go. A parent directory that was copied up for nothing but them goes as
    well, so that the lower one, with its own times, shows again.
    """
    for path in reversed(created):
        full = os.path.join(upper, path)
        try:
            info = os.lstat(full)
        except OSError:
            continue  # the command has removed it or a parent of it
        try:
            if stat.S_ISDIR(info.st_mode):
                os.rmdir(full)
            elif stat.S_ISREG(info.st_mode) and info.st_size == 0:
                os.unlink(full)
            else:
                continue
        except OSError:
            continue  # something is in it: it belongs into the layer
        _remove_empty_parents(upper, os.path.dirname(path))


def _remove_empty_parents(upper: str, folder: str) -> None:
    while folder:
        full = os.path.join(upper, folder)
        if os.listdir(full) or _is_opaque(full):
            return
        os.rmdir(full)
        folder = os.path.dirname(folder)


def _is_opaque(path: str) -> bool:
    return any(name.endswith(".overlay.opaque") for name in os.listxattr(path, follow_symlinks=False))
