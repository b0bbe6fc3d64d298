"""Device nodes where the kernel lets nobody make them: an empty file with an xattr stands for each.

mknod(2) of a device needs CAP_MKNOD in the initial user namespace. In a layer that was made in another one, a file
with the xattr `user.pywerf.device` (`c 5 1`: kind, major, minor) is the device, with the file's owner, mode and time;
nothing but this module writes or reads that xattr, and no layer holds it.
"""

from __future__ import annotations

import errno
import os
import stat

TYPE_CHECKING = False  # it stands in the launcher, too
if TYPE_CHECKING:
    from typing import Literal

__all__ = ["MARK", "PRIVATE", "device_of", "make_device", "marked_node"]

PRIVATE = "user.pywerf."
MARK = PRIVATE + "device"

_KINDS = {"c": stat.S_IFCHR, "b": stat.S_IFBLK}
_NO_MARK = frozenset((errno.ENODATA, errno.ENOTSUP, errno.EOPNOTSUPP))
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def make_device(path: str | bytes, mode: int, rdev: int, *, dir_fd: int | None = None) -> None:
    """mknod(2) of a character or block device, by `mode`'s type; what stands for it where that is refused.

    Raises OSError as mknod(2) does, FileExistsError too.
    """
    try:
        os.mknod(path, mode, rdev, dir_fd=dir_fd)
        return
    except PermissionError:
        fd = os.open(path, _CREATE, stat.S_IMODE(mode), dir_fd=dir_fd)
    try:
        letter = "c" if stat.S_ISCHR(mode) else "b"
        os.setxattr(fd, MARK, f"{letter} {os.major(rdev)} {os.minor(rdev)}".encode())
    finally:
        os.close(fd)


def device_of(target: int | str | bytes, *, follow: bool = False) -> tuple[int, int] | None:
    """The type (S_IFCHR or S_IFBLK) and number of the device that an empty file stands for; None for a plain file.

    `target` is a descriptor, or a path.
    """
    try:
        if isinstance(target, int):
            value = os.getxattr(target, MARK)
        else:
            value = os.getxattr(target, MARK, follow_symlinks=follow)
    except OSError as error:
        if error.errno in _NO_MARK:
            return None
        raise
    words = value.decode("ascii", "replace").split(" ")
    if len(words) != 3 or words[0] not in _KINDS or not (words[1].isdecimal() and words[2].isdecimal()):
        return None  # somebody else's xattr
    return _KINDS[words[0]], os.makedev(int(words[1]), int(words[2]))


def marked_node(folder: int, name: str, st: os.stat_result) -> tuple[Literal["char", "block"], int] | None:
    """Kind and number of the device that the file `name` of the open directory `folder` stands for, by its lstat."""
    if st.st_size or not stat.S_ISREG(st.st_mode):
        return None
    found = device_of(f"/proc/self/fd/{folder}/{name}")
    if found is None:
        return None
    return ("char" if found[0] == stat.S_IFCHR else "block"), found[1]
