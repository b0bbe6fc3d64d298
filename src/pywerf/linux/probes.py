"""Tries what containers need, with the real system calls, in a task that ends right after.

A probe changes nothing for the process: namespaces and mounts vanish with the thread or child that made them.
"""

from __future__ import annotations

import os

import msgspec

from pywerf.linux.facts import in_initial_namespace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "Attempt",
    "in_child",
    "make_mounts_of_a_container",
    "make_namespace_with_one_id",
    "namespaces_with_one_id",
    "plain_chroot",
    "private_namespaces",
    "supervise_system_calls",
]

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


def _make_private_mounts() -> Attempt:
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


def make_mounts_of_a_container() -> Attempt:
    """Namespaces and mounts, and in them what user namespaces may be refused though they may mount.

    In a user namespace proc cannot be mounted where parts of the visible one are covered, as runtimes cover them in
    containers (EPERM, user_namespaces(7)); only a process of the new pid namespace tries its proc.
    """
    made = _make_private_mounts()
    return in_child(_mount_proc) if made.works else made


def _mount_proc() -> Attempt:
    from pywerf.linux import syscalls as sys

    what = "mount proc"
    try:
        sys.mount("proc", _SOMEWHERE, "proc", sys.MS_NOSUID | sys.MS_NODEV | sys.MS_NOEXEC)
        what = "move mounts (open_tree, mount_setattr)"
        tree = sys.open_tree(sys.AT_FDCWD, _SOMEWHERE, sys.OPEN_TREE_CLONE | sys.OPEN_TREE_CLOEXEC)
        try:
            sys.mount_setattr(tree, "", sys.AT_EMPTY_PATH, sys.MOUNT_ATTR_RDONLY)
            sys.move_mount(tree, "", sys.AT_FDCWD, _SOMEWHERE, sys.MOVE_MOUNT_F_EMPTY_PATH)
        finally:
            os.close(tree)
    except OSError as error:
        return Attempt.failed(what, error)
    return Attempt(what)


def private_namespaces() -> Attempt:
    """Rung 1 of the ladder: what a container needs, by the capabilities that this process has already.

    Outside of user namespaces namespaces and a mount decide it, in a thread that ends: a fifth of a millisecond, where
    a fork costs some. Namespaces belong to a thread (unshare(2)), and these are gone with it.
    """
    if not in_initial_namespace():
        return in_child(make_mounts_of_a_container)
    import _thread

    done = _thread.allocate_lock()
    done.acquire()
    results: list[Attempt] = []

    def attempt() -> None:
        try:
            results.append(_make_private_mounts())
        finally:
            done.release()

    _thread.start_new_thread(attempt, ())
    done.acquire()
    return results[0] if results else Attempt("make private namespaces", 0, "the probe ended by itself")


def in_child(attempt: Callable[[], Attempt]) -> Attempt:
    """What `attempt` gives in a child of this process, which ends with it."""
    import msgspec.json

    reader, writer = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        try:
            os.write(writer, msgspec.json.encode(attempt()))
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, "rb") as file:
        data = file.read()
    os.waitpid(child, 0)
    if not data:
        return Attempt("probe in a child", 0, "the probe ended by itself")
    return msgspec.json.decode(data, type=Attempt)


def make_namespace_with_one_id() -> Attempt:
    """Put this process into a user namespace in which its ids alone are mapped, to 0 (user_namespaces(7)).

    It must not have any other thread.
    """
    from pywerf.linux import syscalls as sys

    uid, gid = os.geteuid(), os.getegid()
    what = "make a user namespace"
    try:
        sys.unshare(sys.CLONE_NEWUSER)
        what = "map one id"
        for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                file.write(text)
    except OSError as error:
        return Attempt.failed(what, error)
    return Attempt(what)


def namespaces_with_one_id() -> Attempt:
    """Rung 3 of the ladder: a user namespace with one id, and all that supervising system calls needs."""

    def attempt() -> Attempt:
        made = make_namespace_with_one_id()
        if made.works:
            made = supervise_system_calls()
        return make_mounts_of_a_container() if made.works else made

    return in_child(attempt)


def supervise_system_calls() -> Attempt:
    """Ask for user notifications of seccomp(2), and do to a child what a supervisor does to a container's processes."""
    from pywerf.linux import notify
    from pywerf.linux.notify_filter import SUPPORTED

    if os.uname().machine not in SUPPORTED:
        return Attempt("supervise system calls", 0, f"{os.uname().machine} is none of {', '.join(SUPPORTED)}")
    what = "have system calls notified (seccomp)"
    reader, writer = os.pipe2(os.O_CLOEXEC)
    child = 0
    try:
        notify.check_available()
        what = "start a process"
        child = os.fork()
        if child == 0:
            os.close(writer)
            os.read(reader, 1)
            os._exit(0)
        what = "read the memory of a process (process_vm_readv)"
        notify.Memory().probe(child)
        what = "set the timer slack of a process"
        with open(f"/proc/{child}/timerslack_ns", "r+", encoding="ascii") as file:
            file.write(str(int(file.read()) + 1))
    except OSError as error:
        return Attempt.failed(what, error)
    finally:
        os.close(reader)
        os.close(writer)
        if child:
            os.waitpid(child, 0)
    return Attempt("supervise system calls")


_ROOTS_WORK = ("CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_SETGID", "CAP_SETUID", "CAP_SYS_CHROOT")


def plain_chroot() -> Attempt:
    """Rung 4 of the ladder: chroot(2) as root who may give files away and become others, as containers have it."""
    import errno

    from pywerf.linux import caps

    if os.geteuid() != 0:
        return Attempt("chroot as root", errno.EPERM, "this process is not root's")
    effective = caps.effective()
    missing = [name for name in _ROOTS_WORK if name not in effective]
    if missing:
        return Attempt("chroot as root", 0, f"this process has no {', '.join(missing)}")

    def attempt() -> Attempt:
        try:
            os.chroot("/")
        except OSError as error:
            return Attempt.failed("chroot", error)
        return Attempt("chroot as root")

    return in_child(attempt)
