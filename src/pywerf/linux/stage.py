"""Prepares a container that is not known yet: new namespaces, and the kernel's file systems in a staging area.

Runs in the launcher's children: standard library and `syscalls` only. The operations were decided by
`pywerf.isolation.plan`.
"""

from __future__ import annotations

import os
import stat

from pywerf.linux import syscalls as sys

TYPE_CHECKING = False  # the typing module would double the launcher's start-up time
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

__all__ = ["FUSE", "INSIDE", "MAPPING", "SetupFailed", "Steps", "prepare"]

# The staging area is a tmpfs in the container's private mount namespace, over the folder of this very
# module: a folder that always exists and that nobody mounts from. It vanishes with pivot_root.
STAGE = os.path.dirname(os.path.abspath(__file__))


INSIDE = "inside"  # a folder of it: the staging area of a user namespace, where nobody looks for it by a path
MAPPING = "map the owners of "  # what a step begins with that a file system may not be able to do

FUSE = "what fuse-overlayfs mounts"


class SetupFailed(Exception):
    """A step failed; `step` continues the sentence "cannot …"."""

    def __init__(self, step: str, number: int, text: str) -> None:
        super().__init__(step, number, text)
        self.step = step
        self.number = number
        self.text = text


class Steps:
    """What is being done now, for the error message."""

    def __init__(self) -> None:
        self.current = ""

    def __call__(self, text: str) -> None:
        self.current = text

    def failed(self, error: OSError) -> SetupFailed:
        return SetupFailed(self.current, error.errno or 0, error.strerror or str(error))


def prepare(
    namespaces: int, operations: list[tuple[Any, ...]], *, stage: str = STAGE, carried: Sequence[tuple[str, str]] = ()
) -> dict[str, int]:
    """New namespaces and the staged kernel file systems: all that no single container changes.

    A spare process does this before it has a container. `carried` are (name, path in the working folder) of mounts that
    are taken along: gives the descriptors of detached copies by their names. Raises SetupFailed.
    """
    step = Steps()
    trees: dict[str, int] = {}
    try:
        step("make namespaces")
        sys.unshare(namespaces)
        if namespaces & sys.CLONE_NEWNET:
            step("bring up the loopback interface")
            _loopback_up()
        step("make the mounts private")
        sys.mount(None, "/", None, sys.MS_REC | sys.MS_PRIVATE)
        for name, path in carried:
            step(f"take {path} along")
            # Mounts of a namespace of somebody else's cannot be moved one by one, but a copy of a tree of them can.
            clone = sys.OPEN_TREE_CLONE | sys.OPEN_TREE_CLOEXEC | sys.AT_RECURSIVE
            trees[name] = sys.open_tree(sys.AT_FDCWD, path, clone)
        step("mount the staging area")
        sys.mount("tmpfs", stage, "tmpfs", sys.MS_NOSUID | sys.MS_NODEV | sys.MS_NOEXEC, "mode=0700")
        os.chdir(stage)
        os.mkdir("root", 0o755)
        os.mkdir("files", 0o700)
        for operation in operations:
            step(f"set up {operation[0]} {operation[-1]}")
            if operation[0] == "carried":
                _attach(trees.pop(operation[1]), operation[2])
            else:
                OPERATIONS[operation[0]](*operation[1:])
    except OSError as error:
        raise step.failed(error) from error
    return trees


def _attach(tree: int, target: str) -> None:
    sys.move_mount(tree, "", sys.AT_FDCWD, target, sys.MOVE_MOUNT_F_EMPTY_PATH)
    os.close(tree)


def _loopback_up() -> None:
    import _socket
    from fcntl import ioctl

    get_flags, set_flags, iff_up = 0x8913, 0x8914, 1
    control = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM, 0)
    try:
        request = bytearray(b"lo".ljust(40, b"\0"))
        ioctl(control.fileno(), get_flags, request)
        request[16] |= iff_up
        ioctl(control.fileno(), set_flags, bytes(request))
    finally:
        control.close()


def _stage_mount(fstype: str, source: str, flags: int, data: str, target: str) -> None:
    sys.mount(source, target, fstype, flags, data or None)


def _stage_bind(source: str, target: str) -> None:
    """A recursive bind of the host's `source`."""
    sys.mount(source, target, None, sys.MS_BIND | sys.MS_REC)


def _stage_namespace(kind: int, path: str) -> None:
    """Join a namespace that somebody else made (setns(2))."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        sys.setns(fd, kind)
    finally:
        os.close(fd)


def _stage_directory(mode: int, path: str) -> None:
    os.mkdir(path, mode)
    os.chmod(path, mode)


def _stage_device(major: int, minor: int, mode: int, path: str) -> None:
    os.mknod(path, stat.S_IFCHR | mode, os.makedev(major, minor))
    os.chmod(path, mode)


def _stage_bound_device(source: str, path: str) -> None:
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o666))
    sys.mount(source, path, None, sys.MS_BIND)


def _stage_symlink(target: str, path: str) -> None:
    os.symlink(target, path)


def _stage_mask(path: str) -> None:
    """Hide a file behind the null device, a folder behind an empty read-only one."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    sys.mount("empty" if stat.S_ISDIR(mode) else "dev/null", path, None, sys.MS_BIND)


def _stage_read_only(path: str) -> None:
    if not os.path.lexists(path):
        return
    sys.mount(path, path, None, sys.MS_BIND | sys.MS_REC)
    attributes = sys.MOUNT_ATTR_RDONLY | sys.MOUNT_ATTR_NOSUID | sys.MOUNT_ATTR_NODEV | sys.MOUNT_ATTR_NOEXEC
    sys.mount_setattr(sys.AT_FDCWD, path, sys.AT_RECURSIVE, attributes)


OPERATIONS: dict[str, Callable[..., None]] = {
    "mount": _stage_mount,
    "bind": _stage_bind,
    "namespace": _stage_namespace,
    "directory": _stage_directory,
    "device": _stage_device,
    "bound-device": _stage_bound_device,
    "symlink": _stage_symlink,
    "mask": _stage_mask,
    "read-only": _stage_read_only,
}
