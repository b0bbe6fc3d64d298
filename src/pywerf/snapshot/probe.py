"""Whether overlay works in a directory: by mounting one there, where nobody else sees it, and changing files in it."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from pywerf.linux.removal import remove_tree
from pywerf.snapshot.overlay import overlay_options

__all__ = ["probe", "probe_fuse"]


def probe(root: str, *, userxattr: bool = False) -> str | None:
    """Mount an overlay below the directory `root` and change files in it, as a build would.

    Returns None when that works, else the step that failed and why. Needs CAP_SYS_ADMIN in the user namespace in
    which it is called; without it the answer says so. Forks, so that it is best called before threads are
    started. Leaves nothing behind. Raises OSError when `root` cannot be written to.
    """
    with _scratch(root) as scratch:
        return _try_in_child(scratch, overlay_options(userxattr))


def probe_fuse(root: str, program: str, *, userxattr: bool = False) -> str | None:
    """The same with fuse-overlayfs, `program`; it has to be able to open /dev/fuse."""
    from pywerf.errors import SnapshotError
    from pywerf.snapshot.fuse import FuseMount, settle

    prefix = "user.overlay." if userxattr else "trusted.overlay."
    with _scratch(root) as scratch:
        try:
            mount = FuseMount(program, [f"{scratch}/lower"], f"{scratch}/upper", f"{scratch}/work")
        except SnapshotError as error:
            return error.message
        step = "changing files in fuse-overlayfs"
        try:
            try:
                _change(mount.path)
            finally:
                mount.end()
            step = "looking at what fuse-overlayfs wrote"
            settle(f"{scratch}/upper", prefix)
            return _judge(f"{scratch}/upper", prefix)
        except OSError as error:
            return _failed(step, error)


@contextmanager
def _scratch(root: str) -> Iterator[str]:
    scratch = f"{root}/.probe-{os.getpid()}-{os.urandom(4).hex()}"
    os.makedirs(scratch, mode=0o700)
    try:
        for name in ("lower", "lower/dir", "upper", "work", "merged"):
            os.mkdir(f"{scratch}/{name}")
        for name in ("lower/gone", "lower/dir/file"):
            os.close(os.open(f"{scratch}/{name}", os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC))
        yield scratch
    finally:
        remove_tree(scratch)


def _change(merged: str) -> None:
    """Remove a file, and put another directory in the place of one."""
    os.unlink(f"{merged}/gone")
    os.unlink(f"{merged}/dir/file")
    os.rmdir(f"{merged}/dir")
    os.mkdir(f"{merged}/dir")


def _judge(upper: str, prefix: str) -> str | None:
    """Whether that looks as `snapshot.merged` reads it."""
    whiteout = os.lstat(f"{upper}/gone")
    if stat.S_ISCHR(whiteout.st_mode) and os.getxattr(f"{upper}/dir", prefix + "opaque") == b"y":
        return None
    return "overlay writes whiteouts in another form"


def _failed(step: str, error: OSError) -> str:
    return f"{step}: {error.strerror} ({errno.errorcode.get(error.errno or 0, error.errno)})"


def _try_in_child(scratch: str, options: tuple[str, ...]) -> str | None:
    """None when all went well, else what failed."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(reader)
            failed = _change_files(scratch, options)
            if failed is not None:
                os.write(writer, failed.encode())
            status = 0
        finally:
            os._exit(status)
    os.close(writer)
    with open(reader, "rb") as file:
        answer = file.read().decode()
    _, status = os.waitpid(child, 0)
    return "the probe ended by itself" if status else answer or None


def _change_files(scratch: str, options: tuple[str, ...]) -> str | None:
    from pywerf.linux import syscalls

    step = "making a mount namespace"
    try:
        syscalls.unshare(syscalls.CLONE_NEWNS)
        syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
        step = "mounting overlay"
        os.chdir(scratch)
        syscalls.mount(
            "overlay", "merged", "overlay", 0, ",".join(("lowerdir=lower", "upperdir=upper", "workdir=work", *options))
        )
        step = "changing files in an overlay"
        _change("merged")
        step = "looking at what overlay wrote"
        return _judge("upper", "user.overlay." if "userxattr" in options else "trusted.overlay.")
    except OSError as error:
        return _failed(step, error)
