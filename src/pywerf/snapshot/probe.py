"""Whether overlay works in a directory: by mounting one there, in a child with a mount namespace of its own."""

from __future__ import annotations

import os
import stat

import msgspec

from pywerf.linux.removal import remove_tree
from pywerf.snapshot.overlay import PLAIN_OPTIONS

__all__ = ["OverlaySupport", "probe"]


class OverlaySupport(msgspec.Struct, frozen=True):
    """What a probe found. `reason` and `errno` say which step failed, when overlay does not work.

    `volatile` is whether the option of that name may be given.
    """

    works: bool
    volatile: bool = False
    reason: str = ""
    errno: int = 0


def probe(root: str, *, userxattr: bool = False) -> OverlaySupport:
    """Mount an overlay below the directory `root` and change files in it, as a build would.

    Needs CAP_SYS_ADMIN in the user namespace that it is called in; without it the answer says so. Forks, so
    that it is best called before threads are started. Leaves nothing behind. Raises OSError when
    `root` cannot be written to.
    """
    scratch = f"{root}/.probe-{os.getpid()}-{os.urandom(4).hex()}"
    os.makedirs(scratch, mode=0o700)
    try:
        for name in ("lower", "lower/dir", "upper", "work", "merged"):
            os.mkdir(f"{scratch}/{name}")
        for name in ("lower/gone", "lower/dir/file"):
            os.close(os.open(f"{scratch}/{name}", os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC))
        volatile = _try_in_child(scratch, (*PLAIN_OPTIONS, *(("userxattr",) if userxattr else ()), "volatile"))
        if volatile is None:
            return OverlaySupport(True, True)
        remove_tree(f"{scratch}/work")
        remove_tree(f"{scratch}/upper")
        os.mkdir(f"{scratch}/work")
        os.mkdir(f"{scratch}/upper")
        plain = _try_in_child(scratch, (*PLAIN_OPTIONS, *(("userxattr",) if userxattr else ())))
        if plain is None:
            return OverlaySupport(True)
        step, errno = plain
        return OverlaySupport(False, reason=f"{step}: {os.strerror(errno)}" if errno else step, errno=errno)
    finally:
        remove_tree(scratch)


def _try_in_child(scratch: str, options: tuple[str, ...]) -> tuple[str, int] | None:
    """None when all went well, else the step that failed and its errno (0: it did something else than expected)."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(reader)
            failed = _change_files(scratch, options)
            if failed is not None:
                os.write(writer, f"{failed[1]} {failed[0]}".encode())
            status = 0
        finally:
            os._exit(status)
    os.close(writer)
    with open(reader, "rb") as file:
        answer = file.read().decode()
    _, status = os.waitpid(child, 0)
    if status:
        return "the probe ended by itself", 0
    if not answer:
        return None
    number, _, step = answer.partition(" ")
    return step, int(number)


def _change_files(scratch: str, options: tuple[str, ...]) -> tuple[str, int] | None:
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
            return "overlay writes whiteouts in another form", 0
    except OSError as error:
        return step, error.errno or 0
    return None
