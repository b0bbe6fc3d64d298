"""Which extended attributes belong into a layer, and which are a union file system's own marks.

Loaded by the processes that read small files, too: standard library and `linux.devices` only.
"""

from __future__ import annotations

import errno
import os

from pywerf.linux import devices

TYPE_CHECKING = False  # what typing needs would add to such a process's start-up time
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

__all__ = ["OVERLAY_OPAQUE", "is_whiteout_mark", "list_xattrs", "marked_opaque", "read_xattrs", "wanted"]

# kernel Documentation/filesystems/overlayfs.rst, "whiteouts and opaque directories"; the last is fuse-overlayfs's.
OVERLAY_OPAQUE = ("trusted.overlay.opaque", "user.overlay.opaque", "user.fuseoverlayfs.opaque")
_OVERLAY_WHITEOUT = frozenset(("trusted.overlay.whiteout", "user.overlay.whiteout"))
_PRIVATE = ("user.overlay.", "user.fuseoverlayfs.", "user.containers.", devices.PRIVATE)
_ABSENT = (errno.ENOTSUP, errno.ENODATA)


def wanted(name: str) -> bool:
    """File capabilities and the users' own attributes; not labels, ACLs, and what drivers keep there."""
    if name.startswith("user."):
        return not name.startswith(_PRIVATE)
    return name == "security.capability"


def list_xattrs(target: int | bytes) -> list[str]:
    """The names of all xattrs of a descriptor, or of a path that is not followed; [] where there are none."""
    try:
        return os.listxattr(target) if isinstance(target, int) else os.listxattr(target, follow_symlinks=False)
    except OSError as error:
        if error.errno in _ABSENT:
            return []
        raise


def read_xattrs(target: int | bytes, names: Iterable[str] | None = None) -> dict[str, bytes]:
    """The xattrs that belong into a layer; `names` are those that the target is known to have."""
    found: dict[str, bytes] = {}
    for name in list_xattrs(target) if names is None else names:
        if wanted(name):
            if isinstance(target, int):
                found[name] = os.getxattr(target, name)
            else:
                found[name] = os.getxattr(target, name, follow_symlinks=False)
    return found


def is_whiteout_mark(names: Iterable[str]) -> bool:
    """Whether an empty file with these xattrs is overlay's other form of a whiteout."""
    return not _OVERLAY_WHITEOUT.isdisjoint(names)


def marked_opaque(folder: bytes, marks: Collection[str]) -> bool:
    """Whether a directory hides what is below it (`x` in the same attribute only announces xattr whiteouts)."""
    return any(name in marks and os.getxattr(folder, name) == b"y" for name in list_xattrs(folder))
