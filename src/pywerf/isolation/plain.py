"""Plain chroot isolation: for root who may chroot(2), but neither mount nor make namespaces (rung 4).

The container is a child that is chrooted to its root file system, with nothing mounted in it: what would be mounted is
put there as files, and taken out again (`linux.emulated_mounts`). A process of its own watches over each container
and kills all of it at the end (`linux.plain_child`). What this isolation cannot do is an error, never left out.
"""

from __future__ import annotations

import os
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from pywerf.errors import IsolationError
from pywerf.isolation.chroot import setup_failed
from pywerf.isolation.launched import Frames, LaunchedContainer, exit_status
from pywerf.isolation.plain_files import kernel_file_systems
from pywerf.isolation.plan import HostFacts, host_facts, make_plan
from pywerf.isolation.spec import SHM_SIZE, ContainerResult, ContainerSpec, Namespaces
from pywerf.linux import caps
from pywerf.linux.emulated_mounts import EmulatedMounts, empty_folder, file_of
from pywerf.linux.mount import Mount
from pywerf.linux.orphans import end_strays
from pywerf.util import own_python

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

__all__ = ["PlainContainer", "PlainIsolation", "check_spec", "plain_plan", "shortcomings"]

CHILD = "from pywerf.linux.plain_child import main; main()"
CONTROL, PLAN = 3, 4
STAND_INS = ("null", "random", "stderr", "urandom")  # those that the watching process serves
TMPFS_MODE = 0o1777

_MORE = "isolations with namespaces can (rungs 1 to 3): docker run --privileged; `werf host doctor` shows more ways"


def check_spec(spec: ContainerSpec) -> None:
    """Raise IsolationError for what cannot be done without mounts and namespaces."""
    if spec.rootfs.type != "bind" or "ro" in spec.rootfs.options:
        raise IsolationError("plain chroot isolation needs a root file system that is a directory: the vfs driver's")
    names = spec.namespaces
    joined = [name for name in (names.pid, names.ipc, names.uts, names.cgroup) if name not in ("private", "host")]
    wanted = {
        f"--network {spec.network} needs a network namespace": spec.network != "host",
        "a privileged container (--security=insecure, --privileged) needs the host's devices": spec.privileged,
        "a read-only root file system needs a mount": spec.read_only,
        f"the host name {spec.hostname} needs a UTS namespace": spec.hostname not in ("", os.uname().nodename),
        f"joining the namespace {(joined or [''])[0]} needs CAP_SYS_ADMIN": bool(joined),
        f"{(names.asked or [''])[0]} private needs a namespace": bool(names.asked),
        "a user namespace has to be made": names.user not in ("", "host") or bool(names.uid_map),
        "--shm-size needs a mount": spec.shm_size != SHM_SIZE,
        "limits of memory and processors need a cgroup": spec.resources.limited or bool(spec.cgroup_parent),
        "an AppArmor profile has to be set": spec.apparmor not in ("", "unconfined"),
        "an SELinux label has to be set": bool(spec.selinux_label),
    }
    for mount in spec.mounts:
        if mount.type not in ("bind", "rbind", "tmpfs") and "bind" not in mount.options:
            wanted[f"{mount.target}: a file system of type {mount.type} needs a mount"] = True
    refused = next((what for what, asked in wanted.items() if asked), None)
    if refused:
        raise IsolationError(f"{refused}: rung 4 of the ladder (chroot as root, without mounts) cannot", hint=_MORE)


def plain_plan(spec: ContainerSpec, facts: HostFacts, effective: frozenset[str]) -> dict[str, Any]:
    """The plan of `linux.plain_child`. Raises IsolationError as `check_spec` and `make_plan`.

    Without CAP_SYS_CHROOT, unless it was asked for: with it root leaves a chroot at will (chroot(2)). Without
    CAP_SETPCAP nothing can be taken away. A system call filter needs CAP_SYS_ADMIN or no_new_privs (seccomp(2)), and
    that would take their power from set-user-ID programs: it is only set where there is one of the two.
    """
    check_spec(spec)
    filtered = "CAP_SYS_ADMIN" in effective or spec.no_new_privileges
    if not filtered and not isinstance(spec.seccomp, str):
        raise IsolationError(
            "a seccomp profile needs CAP_SYS_ADMIN, or --security-opt no-new-privileges: rung 4 of the ladder "
            "(chroot as root, without mounts) has neither",
            hint=_MORE,
        )
    plan = make_plan(replace(spec, namespaces=Namespaces(), devices=()), facts)
    if spec.capabilities is None:
        plan["capabilities"] &= ~caps.mask(("CAP_SYS_CHROOT",))
    if "CAP_SETPCAP" not in effective:
        plan["capabilities"] = facts.bounding
    if not filtered:
        plan["seccomp"] = b""
    plan |= {"root": spec.rootfs.source, "supervision": None, "apparmor": "", "selinux": ""}
    return plan


def shortcomings() -> list[str]:
    """What containers here lack in comparison with others, because of how this process was started."""
    from pywerf.linux.facts import read_text

    found = []
    if "CAP_MKNOD" not in caps.effective():
        found.append(
            "no CAP_MKNOD: in /dev of a RUN files and pipes stand for null, zero, random and urandom; there is no tty"
        )
    lines = dict(line.split(":", 1) for line in read_text("/proc/self/status").splitlines() if ":" in line)
    if lines.get("Seccomp", "").strip() == "0" and "CAP_SYS_ADMIN" not in caps.effective():
        found.append("no seccomp filter: this process has none, and may not set one without CAP_SYS_ADMIN")
    return found


class PlainContainer(LaunchedContainer):
    """A started container; `wait` takes out of its root what was put there. `watcher`: the process above its first."""

    def __init__(
        self,
        control: socket.socket,
        frames: Frames,
        mounts: EmulatedMounts,
        console: int | None,
        watcher: int,
        over: Callable[[bool], None],
    ) -> None:
        super().__init__(control, frames, mounts.created, console, setup_failed)
        self.watcher = watcher
        self._mounts: EmulatedMounts | None = mounts
        self._over = over
        self._ending = threading.Lock()
        self._kept_failure: IsolationError | None = None

    def wait(self) -> ContainerResult:
        """See Container.wait. Raises IsolationError when the process that watches was killed, and when what was written
        to a cache or a volume cannot be brought back there."""
        with self._ending:
            try:
                result = super().wait()
            except IsolationError:
                self._finish(keep=False)
                raise
            self._finish(keep=True)
            if self._kept_failure is not None:
                raise self._kept_failure
            return result

    def _finish(self, *, keep: bool) -> None:
        if self._mounts is None:
            return
        mounts, self._mounts = self._mounts, None
        self._over(not keep)
        try:
            mounts.take_out(keep=keep)
        except OSError as error:
            self._kept_failure = IsolationError(f"cannot take the mounts out of the root file system: {error}")

    def abort(self) -> None:
        """Kill all of it, and wait for that."""
        import socket

        with self._closing:
            if self._control.fileno() >= 0:
                self._control.shutdown(socket.SHUT_WR)
        try:
            self.wait()
        except IsolationError:
            return  # whoever waits for it is told


class PlainIsolation:
    """Containers without namespaces, on the host's network. Needs root with CAP_SYS_CHROOT.

    They share the process ids, the host name and the IPC of this process: what they see is their own files, but they
    can send signals to others of the same user.
    """

    def __init__(self, facts: HostFacts | None = None) -> None:
        from pywerf.linux import syscalls

        self._facts = facts or host_facts()
        self._effective = caps.effective()
        self._lock = threading.Lock()
        self._closed = False
        self._containers: weakref.WeakSet[PlainContainer] = weakref.WeakSet()
        self._watching: set[int] = set()
        # What a container has started comes to this process when a command of root's kills the one that watches.
        syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)
        # Root in a container must not trace this process, nor look into its memory (ptrace(2)).
        syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)

    def __enter__(self) -> PlainIsolation:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def name(self) -> str:
        return "chroot"

    def start(self, spec: ContainerSpec, stdin: int, stdout: int, stderr: int) -> PlainContainer:
        """See Isolation.start. With `spec.terminal` it uses a terminal of its own: see `console`."""
        plan = plain_plan(spec, self._facts, self._effective)
        if self._closed:
            raise IsolationError("the isolation is closed already")
        mounts = EmulatedMounts(plan["root"])
        console = None
        try:
            _put_mounts(mounts, spec)
            plan["stand_ins"] = [name for name in STAND_INS if _is_stand_in(f"{plan['root']}/dev/{name}")]
            streams = [stdin, stdout, stderr]
            if spec.terminal:
                console, streams = _open_terminal(stdin)
            try:
                with self._lock:
                    control, pid = _spawn(plan, streams)
                    self._watching.add(pid)
            finally:
                if spec.terminal:
                    os.close(streams[0])
            container = self._started(control, pid, mounts, console)
        except BaseException as error:
            if console is not None:
                os.close(console)
            _take_back(mounts)
            if isinstance(error, OSError):
                raise IsolationError(f"cannot start a container: {error.strerror or error}") from error
            raise
        with self._lock:
            self._containers.add(container)
        return container

    def _started(self, control: socket.socket, pid: int, mounts: EmulatedMounts, console: int | None) -> PlainContainer:
        def over(lost: bool) -> None:
            self._end(pid, lost)

        try:
            frames = Frames(control)
            kind, value, _ = frames.receive()
            if kind == b"E":
                raise setup_failed(*value)
            if kind != b"R":
                raise IsolationError(f"the container ended with status {exit_status(value)} before it was set up")
            return PlainContainer(control, frames, mounts, console, pid, over)
        except BaseException:
            control.close()
            over(True)
            raise

    def _end(self, pid: int, lost: bool) -> None:
        """Wait for the process that watches; where it may have been killed, end what it has left."""
        os.waitpid(pid, 0)
        with self._lock:
            self._watching.discard(pid)
            if lost:
                end_strays(self._watching)

    def close(self) -> None:
        """See Isolation.close."""
        from pywerf.linux import syscalls

        self._closed = True
        with self._lock:
            running = list(self._containers)
        for container in running:
            container.abort()
        syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 0)  # nobody would wait for what comes now


def _put_mounts(mounts: EmulatedMounts, spec: ContainerSpec) -> None:
    what = ""
    try:
        for what, make in kernel_file_systems():
            mounts.put(what, "folder", make, follow=False)
        for mount in spec.mounts:
            what = mount.target
            if mount.type == "tmpfs":
                mounts.put(what, "folder", empty_folder(_tmpfs_mode(mount)))
            else:
                what = f"{mount.source} on {mount.target}"
                _copy_in(mounts, mount)
        for given in spec.devices:
            what = f"{given.source} on {given.target}"
            mounts.copy_in(given.source, given.target, keep=False)
        for target, content, mode, *owner in spec.files:
            what = target
            uid, gid = owner or (0, 0)
            mounts.put(target, "file", file_of(content, mode, (uid, gid)))
    except OSError as error:
        raise IsolationError(f"cannot mount {what}: {error.strerror or error} (it is emulated by a copy)") from error


def _copy_in(mounts: EmulatedMounts, mount: Mount) -> None:
    keep = "ro" not in mount.options
    subpath = mount.subpath.strip("/")
    if not subpath:
        mounts.copy_in(mount.source, mount.target, keep=keep)
        return
    from pywerf.linux.openat2 import open_in_root

    root = os.open(mount.source, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fd = open_in_root(root, os.fsencode(subpath), os.O_PATH | os.O_CLOEXEC)
    finally:
        os.close(root)
    try:
        # Its real path: nobody changes what is mounted meanwhile, and it is needed again at the end.
        mounts.copy_in(os.readlink(f"/proc/self/fd/{fd}"), mount.target, keep=keep)
    finally:
        os.close(fd)


def _tmpfs_mode(mount: Mount) -> int:
    for word in mount.options:
        if word.startswith("mode="):
            return int(word.removeprefix("mode="), 8)
    return TMPFS_MODE


def _is_stand_in(path: str) -> bool:
    import stat

    try:
        return not stat.S_ISCHR(os.lstat(path).st_mode)
    except FileNotFoundError:
        return False


def _take_back(mounts: EmulatedMounts) -> None:
    created = mounts.created
    root = mounts.root
    try:
        mounts.take_out(keep=False)
        for path in reversed(created):
            _remove_made(root, path)
    except OSError:
        return  # what stopped the container stops this too; the first reason is what is told


def _remove_made(root: str, path: str) -> None:
    folder, _, name = path.rpartition("/")
    parent = f"{root}/{folder}"
    before = os.stat(parent)
    full = f"{parent}/{name}"
    (os.rmdir if os.path.isdir(full) and not os.path.islink(full) else os.unlink)(full)
    os.utime(parent, ns=(before.st_atime_ns, before.st_mtime_ns))


def _open_terminal(like: int) -> tuple[int, list[int]]:
    """A new pseudo-terminal: (master, the container's three streams). It takes the window size of `like`."""
    import termios
    from fcntl import ioctl

    master, slave = os.openpty()
    if os.isatty(like):
        ioctl(master, termios.TIOCSWINSZ, ioctl(like, termios.TIOCGWINSZ, bytes(8)))
    return master, [slave, slave, slave]


def _spawn(plan: dict[str, Any], streams: list[int]) -> tuple[socket.socket, int]:
    """Start the process that watches over the container: its control socket and its pid."""
    import fcntl
    import marshal
    import socket

    if not sys.executable:
        raise IsolationError("cannot start a container: this program does not know its Python interpreter")
    plan_fd = os.memfd_create("plan")
    try:
        with open(plan_fd, "wb", closefd=False) as file:
            file.write(marshal.dumps(plan))
        mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        moved: list[int] = []
        try:
            for fd in (*streams, theirs.fileno(), plan_fd):
                # Out of the way first: a number that is given may be one that is to be had.
                moved.append(fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 16))
            actions = [(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate(moved)]
            arguments, environment = own_python.command(CHILD), own_python.environment()
            pid = os.posix_spawn(sys.executable, arguments, environment, file_actions=actions, setsid=True)
        except BaseException:
            mine.close()
            raise
        finally:
            theirs.close()
            for fd in moved:
                os.close(fd)
    finally:
        os.close(plan_fd)
    return mine, pid
