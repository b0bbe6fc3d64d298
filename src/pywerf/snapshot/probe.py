"""Whether overlay works in a directory: by mounting one there, in a child with a mount namespace of its own."""

from __future__ import annotations

import errno
import os
import stat

from pywerf.linux.removal import remove_tree
from pywerf.snapshot.overlay import overlay_options

__all__ = ["probe"]


def probe(root: str, *, userxattr: bool = False) -> str | None:
    """Mount an overlay below the directory `root` and change files in it, as a build would.

    Returns None when that works, else the step that failed and why. Needs CAP_SYS_ADMIN in the user namespace in
    which it is called; without it the answer says so. Forks, so that it is best called before threads are
    started. Leaves nothing behind. Raises OSError when `root` cannot be written to.
    """
    scratch = f"{root}/.probe-{os.getpid()}-{os.urandom(4).hex()}"
    os.makedirs(scratch, mode=0o700)
    try:
        for name in ("lower", "lower/dir", "upper", "work", "merged"):
            os.mkdir(f"{scratch}/{name}")
        for name in ("lower/gone", "lower/dir/file"):
            os.close(os.open(f"{scratch}/{name}", os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC))
        return _try_in_child(scratch, overlay_options(userxattr))
    finally:
        remove_tree(scratch)


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
        step = "removing a file in an overlay"
        os.unlink("merged/gone")
        step = "replacing a directory in an overlay"
        os.unlink("merged/dir/file")
        os.rmdir("merged/dir")
        os.mkdir("merged/dir")
        step = "looking at what overlay wrote"
        whiteout = os.lstat("upper/gone")
        prefix = "user.overlay." if "userxattr" in options else "trusted.overlay."
        if not stat.S_ISCHR(whiteout.st_mode) or os.getxattr("upper/dir", prefix + "opaque") != b"y":
            return "overlay writes whiteouts in another form"
    except OSError as error:
        return f"{step}: {error.strerror} ({errno.errorcode.get(error.errno or 0, error.errno)})"
    return None
