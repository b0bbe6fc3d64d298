"""Tries what containers need, with the real system calls, in a task that ends right after.

A probe changes nothing for the process: namespaces and mounts vanish with the thread or child that made them.
"""

from __future__ import annotations

import os

import msgspec

__all__ = ["Attempt", "make_private_mounts", "private_namespaces"]

# Over the folder of this very module: one that exists, and that nobody mounts from.
_SOMEWHERE = os.path.dirname(os.path.abspath(__file__))


class Attempt(msgspec.Struct, frozen=True):
    """Something that was tried: `what` continues "cannot …"; `errno` and `text` say why it failed.

    `text` is empty when it worked; `errno` is 0 too when it failed for another reason than a system call.
    """

    what: str
    errno: int = 0
    text: str = ""

    @property
    def works(self) -> bool:
        """Whether nothing failed."""
        return not self.text

    @property
    def reason(self) -> str:
        """`cannot make private namespaces: Operation not permitted (EPERM)`; empty when it worked."""
        if self.works:
            return ""
        import errno

        name = f" ({errno.errorcode.get(self.errno, self.errno)})" if self.errno else ""
        return f"cannot {self.what}: {self.text}{name}"

    @classmethod
    def failed(cls, what: str, error: OSError) -> Attempt:
        """The attempt that ended with `error`."""
        return cls(what, error.errno or 0, error.strerror or str(error))


def make_private_mounts() -> Attempt:
    """Give the calling task namespaces of its own and mount in them, as a container does; never undone.

    unshare(2) and mount(2) need CAP_SYS_ADMIN in the task's user namespace.
    """
    from pywerf.linux import syscalls as sys  # ctypes costs two milliseconds

    what = "make private namespaces"
    try:
        sys.unshare(sys.CLONE_NEWNS | sys.CLONE_NEWPID | sys.CLONE_NEWIPC | sys.CLONE_NEWUTS)
        what = "make mounts private"
        sys.mount(None, "/", None, sys.MS_REC | sys.MS_PRIVATE)
        what = "mount a tmpfs"
        sys.mount("tmpfs", _SOMEWHERE, "tmpfs", sys.MS_NOSUID | sys.MS_NODEV | sys.MS_NOEXEC, "mode=0700")
    except OSError as error:
        return Attempt.failed(what, error)
    return Attempt("make private namespaces")


def private_namespaces() -> Attempt:
    """`make_private_mounts` in a thread that ends: a fifth of a millisecond, where a fork costs some.

    Namespaces belong to a thread (unshare(2)), and these are gone with it.
    """
    import _thread

    done = _thread.allocate_lock()
    done.acquire()
    results: list[Attempt] = []

    def attempt() -> None:
        try:
            results.append(make_private_mounts())
        finally:
            done.release()

    _thread.start_new_thread(attempt, ())
    done.acquire()
    return results[0] if results else Attempt("make private namespaces", 0, "the probe ended by itself")
