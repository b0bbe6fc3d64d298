"""Takes mount points that a container needed out of its snapshot again, when nothing was put into them."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence

from pywerf.linux.openat2 import open_in_root

__all__ = ["remove_mount_points"]


def remove_mount_points(layer_dir: str, created: Sequence[str]) -> None:
    """Remove `created` (relative paths, parents before children) from a snapshot's own files.

    Only empty directories and empty files go. The directories that they were in keep their times, so that one in
    which nothing else was changed is no change. The command may have put symlinks in the way: they are followed
    inside of `layer_dir` alone.
    """
    if not created:
        return
    root = os.open(layer_dir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for path in reversed(created):
            folder, _, name = path.rpartition("/")
            try:
                above = open_in_root(root, os.fsencode(folder or "."), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            except OSError:
                continue  # the command has removed it
            try:
                _remove_empty(above, name)
            finally:
                os.close(above)
    finally:
        os.close(root)


def _remove_empty(folder: int, name: str) -> None:
    before = os.fstat(folder)
    try:
        there = os.lstat(name, dir_fd=folder)
        if stat.S_ISDIR(there.st_mode):
            os.rmdir(name, dir_fd=folder)
        elif stat.S_ISREG(there.st_mode) and there.st_size == 0:
            os.unlink(name, dir_fd=folder)
        else:
            return
    except OSError:
        return  # the command has removed it, or has put something into it: it belongs into the layer
    os.utime(folder, ns=(before.st_atime_ns, before.st_mtime_ns))
