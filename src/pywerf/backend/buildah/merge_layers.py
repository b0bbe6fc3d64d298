"""Puts several overlay layers into one, as overlay itself would show them: no data is copied, files are linked."""

from __future__ import annotations

import os
import stat
from typing import Literal

from pywerf.layer.xattrs import OVERLAY_OPAQUE, marked_opaque, read_xattrs
from pywerf.linux import owners
from pywerf.linux.removal import remove_tree

__all__ = ["merge_layer"]


def merge_layer(layer_dir: str, target: str, xattr_namespace: Literal["trusted", "user"]) -> None:
    """Lay one layer over what `target`, another layer's directory on the same file system, has already.

    What the layer removes is removed from `target`, and stays removed for the layers below it. Files become hard
    links to those of `layer_dir`: neither may be written to afterwards. Raises OSError.
    """
    mark = f"{xattr_namespace}.overlay.opaque"
    folders: list[tuple[bytes, bytes]] = []
    todo = [(os.fsencode(layer_dir), os.fsencode(target))]
    while todo:
        source, into = todo.pop()
        with os.scandir(source) as entries:
            for entry in entries:
                there = into + b"/" + entry.name
                if not entry.is_dir(follow_symlinks=False):  # a whiteout is a file here like any other
                    remove_tree(os.fsdecode(there))
                    os.link(entry.path, there, follow_symlinks=False)
                    continue
                _make_directory(entry.path, there, mark)
                folders.append((entry.path, there))
                todo.append((entry.path, there))
    for source, into in reversed(folders):  # last: what is made in a directory changes its time
        _take_attributes(source, into)


def _make_directory(source: bytes, there: bytes, mark: str) -> None:
    opaque = marked_opaque(source, OVERLAY_OPAQUE)
    try:
        kind = stat.S_IFMT(os.lstat(there).st_mode)
    except FileNotFoundError:
        kind = 0
    if kind != stat.S_IFDIR or opaque:
        # in the place of something else, or of a removal: nothing of what is below shows in it
        opaque = opaque or kind != 0
        remove_tree(os.fsdecode(there))
        os.mkdir(there, 0o700)
        if opaque:
            os.setxattr(there, mark, b"y")


def _take_attributes(source: bytes, there: bytes) -> None:
    status = owners.lstat(source)
    owners.set_owner(there, status.st_uid, status.st_gid)
    wanted = read_xattrs(source)
    for name in read_xattrs(there).keys() - wanted.keys():
        os.removexattr(there, name)
    for name, value in wanted.items():
        os.setxattr(there, name, value)
    os.chmod(there, stat.S_IMODE(status.st_mode))
    os.utime(there, ns=(status.st_mtime_ns, status.st_mtime_ns))
