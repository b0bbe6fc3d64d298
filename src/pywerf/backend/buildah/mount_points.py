"""Directories of nothing but mount points, to lie below all layers of a container's root file system."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pywerf.linux.removal import remove_tree

if TYPE_CHECKING:
    from pywerf.store.store import Store

__all__ = ["mount_points"]


def mount_points(store: Store, targets: Mapping[str, bool]) -> str:
    """A directory with all of `targets` (path: is it a folder?), but for those with `..`: where they lead is not known.

    Of two targets that are one path the later one counts. The directory is in this process's own folder of the store,
    and made once for all steps with the same targets: nothing writes to it, as it is only ever a lower directory. More
    is spared than the time to make it: ext4 without a journal steps over each inode freed within the last minutes, so
    that what every step makes and removes slows down all steps.
    """
    from hashlib import sha256

    wanted: dict[str, bool] = {}
    for target, is_dir in targets.items():
        if path := _plain(target):
            wanted[path] = is_dir
    text = "\0".join(f"{path}\0{is_dir}" for path, is_dir in wanted.items())
    place = f"{store.scratch_dir}/stubs-{sha256(text.encode('utf-8', 'surrogateescape')).hexdigest()[:32]}"
    if os.path.isdir(place):
        return place
    with store.tmp_dir() as folder:
        new = f"{folder}/stubs"
        os.mkdir(new)
        os.chmod(new, 0o755)
        for path, is_dir in wanted.items():
            _make(f"{new}/{path}", is_dir)
        try:
            os.rename(new, place)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
            remove_tree(new)  # another thread was first
    return place


def _plain(target: str) -> str:
    """The path without needless slashes; empty where it would need following of links, or names nothing."""
    parts = [part for part in target.split("/") if part]
    return "" if ".." in parts or "." in parts else "/".join(parts)


def _make(path: str, is_dir: bool) -> None:
    folder = path if is_dir else os.path.dirname(path)
    os.makedirs(folder, 0o755, exist_ok=True)
    if not is_dir and not os.path.lexists(path):
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644))
