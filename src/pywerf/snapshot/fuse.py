"""Snapshots on fuse-overlayfs: the same directories as overlay's, mounted by a program instead of the kernel.

Each root is served by a process of its own (`linux.fuse_child`), which ends when nobody has the mount any more. What
the program writes in forms of its own is brought into the kernel's form before anybody else looks at it: what is on
disk is the same with both, and each can go on with what the other has made.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
import threading

from pywerf.errors import SnapshotError
from pywerf.linux.dirtree import DirectoryHandles
from pywerf.linux.mount import Mount
from pywerf.snapshot.base import Snapshot
from pywerf.snapshot.overlay import OverlaySnapshotter
from pywerf.util import own_python
from pywerf.util.filetree import FileTree, join

__all__ = ["FuseMount", "FuseSnapshotter", "settle"]

CHILD = "from pywerf.linux.fuse_child import main; main(*sys.argv[2:])"
MOUNT_DATA = "rootmode=40000,user_id=0,group_id=0,default_permissions,allow_other"
SOCKET = 3
MESSAGE = 4096
SECONDS = 60.0  # for what the kernel still has to write when a mount ends
WHITEOUT = ".wh."
OPAQUE_FILES = (".wh..wh..opq", ".wh..opq")
PRIVATE_XATTRS = "user.fuseoverlayfs."


class FuseMount:
    """A running fuse-overlayfs. `path` names the mount to whoever wants to have it, once, until `end`."""

    def __init__(self, program: str, lowers: list[str], upper: str = "", work: str = "") -> None:
        """Raises SnapshotError when it does not come up."""
        import socket

        options = f"lowerdir={':'.join(lowers)}" + (f",upperdir={upper},workdir={work}" if upper else "")
        arguments = own_python.command(CHILD, program, options, MOUNT_DATA)
        environment = own_python.environment("PATH")
        self._log = os.memfd_create("fuse-overlayfs")
        mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            actions = [
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, self._log, 1),
                (os.POSIX_SPAWN_DUP2, self._log, 2),
                (os.POSIX_SPAWN_DUP2, theirs.fileno(), SOCKET),
            ]
            # A session of its own: Ctrl-C in the terminal is this program's to handle.
            self._pid = os.posix_spawn(sys.executable, arguments, environment, file_actions=actions, setsid=True)
        except OSError as error:
            mine.close()
            os.close(self._log)
            raise SnapshotError(f"cannot start {sys.executable}: {error.strerror}") from error
        finally:
            theirs.close()
        self._tree = -1
        try:
            # Not socket.recv_fds, which takes the flags and forgets them (Python 3.11): another program's process
            # would inherit the mount, and keep it.
            answer, ancillary, _, _ = mine.recvmsg(MESSAGE, socket.CMSG_SPACE(4), socket.MSG_CMSG_CLOEXEC)
            if ancillary:
                self._tree = int.from_bytes(ancillary[0][2][:4], sys.byteorder)
            if answer != b"R":
                raise SnapshotError(f"fuse-overlayfs: {self._reason(answer)}")
            os.fstat(self._tree)  # waits for the program's first answer
        except OSError as error:
            self.end()
            raise SnapshotError(f"fuse-overlayfs: {self._said() or error.strerror}") from error
        except BaseException:
            self.end()
            raise
        finally:
            mine.close()

    @staticmethod
    def _reason(answer: bytes) -> str:
        import marshal

        if answer[:1] != b"E":
            return "its start failed"
        step, number, text = marshal.loads(answer[1:])
        return f"cannot {step}: {text} ({errno.errorcode.get(number, number)})"

    def _said(self) -> str:
        text = os.pread(self._log, MESSAGE, 0).decode(errors="replace") if self._log >= 0 else ""
        lines = [line for line in text.splitlines() if line and not line.startswith("unknown argument ignored")]
        return lines[-1] if lines else ""

    @property
    def path(self) -> str:
        """A path of the mount, good for other processes of the same user: each of them may take it, one in all."""
        return f"/proc/{os.getpid()}/fd/{self._tree}"

    def end(self) -> None:
        """Let go of the mount, and wait until the program has written all and ended. Idempotent."""
        if self._tree >= 0:
            os.close(self._tree)
            self._tree = -1
        if self._pid:
            pid, self._pid = self._pid, 0
            _wait(pid)
        if self._log >= 0:
            os.close(self._log)
            self._log = -1


def _wait(pid: int) -> None:
    """Reap the program, which ends by itself when its mount is gone; kill it when it does not."""
    import select
    import signal

    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        pidfd = -1
    if pidfd >= 0:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        if not poll.poll(SECONDS * 1000):
            os.kill(pid, signal.SIGKILL)
        os.close(pidfd)
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:
        return  # somebody waited for all children


class FuseSnapshotter(OverlaySnapshotter):
    """The overlay driver where the kernel's overlay cannot be had, or where it is asked for: see `Snapshotter`.

    `program` is the path of fuse-overlayfs, which needs /dev/fuse.
    """

    def __init__(self, root: str, program: str, *, userxattr: bool = False) -> None:
        if any(character in root for character in ",:\\"):
            raise SnapshotError(
                f"{root}: fuse-overlayfs cannot be used below a directory with a comma or a colon in its name",
                hint="choose another --root, or --storage-driver vfs",
            )
        super().__init__(root, userxattr=userxattr)
        self.program = program
        self._lock = threading.Lock()
        self._mounts: dict[str, list[FuseMount]] = {}  # by the id of the snapshot
        self._written: set[str] = set()  # ids that a mount may have written to

    def rootfs(self, snapshot: Snapshot, *, stubs: str | None = None, writable: bool = True) -> Mount:
        """See Snapshotter. The program runs from now on; the mount can be had once."""
        try:
            lowers = [self._lower(id) for id in snapshot.parents]
            lowers.append(f"{self.root}/empty" if stubs is None else stubs)
            if writable:
                work = self._make_work(snapshot)
                mount = FuseMount(self.program, lowers, f"{self._path(snapshot.id)}/fs", work)
            else:
                mount = FuseMount(self.program, [self._lower(snapshot.id), *lowers])
        except OSError as error:
            raise SnapshotError(f"snapshot {snapshot.id} cannot be mounted: {error}") from error
        with self._lock:
            self._mounts.setdefault(snapshot.id, []).append(mount)
            if writable:
                self._written.add(snapshot.id)
        return Mount("tree", mount.path, "", () if writable else ("ro",))

    def commit(self, snapshot: Snapshot) -> Snapshot:
        """See Snapshotter. Waits until all is written."""
        self._settle(snapshot.id)
        return super().commit(snapshot)

    def layer_dir(self, snapshot: Snapshot) -> str:
        """See Snapshotter. What was written to it is complete: its mounts end."""
        self._settle(snapshot.id)
        return super().layer_dir(snapshot)

    def view(self, snapshot: Snapshot) -> FileTree:
        """See Snapshotter. Mounts of it end, as for `layer_dir`."""
        self._settle(snapshot.id)
        return super().view(snapshot)

    def remove(self, id: str) -> None:
        """See Snapshotter."""
        self._end(id)
        with self._lock:
            self._written.discard(id)
        super().remove(id)

    def release(self, mount: Mount) -> None:
        """See Snapshotter."""
        with self._lock:
            found = [one for mounts in self._mounts.values() for one in mounts if one.path == mount.source]
            for id, mounts in list(self._mounts.items()):
                self._mounts[id] = [one for one in mounts if one not in found]
        for one in found:
            one.end()

    def close(self) -> None:
        """End all mounts. Idempotent."""
        with self._lock:
            ids = list(self._mounts)
        for id in ids:
            self._end(id)

    def _end(self, id: str) -> None:
        with self._lock:
            mounts = self._mounts.pop(id, [])
        for mount in mounts:
            mount.end()

    def _settle(self, id: str) -> None:
        with self._lock:
            written = id in self._written
        if not written:
            return
        self._end(id)
        try:
            settle(f"{self._path(id)}/fs", self.xattr_prefix)
        except OSError as error:
            raise SnapshotError(f"cannot read what fuse-overlayfs has written to snapshot {id}: {error}") from error
        with self._lock:
            self._written.discard(id)


def settle(upper: str, prefix: str) -> None:
    """Bring an upper directory from the forms of fuse-overlayfs into the kernel's; `prefix` as `trusted.overlay.`.

    A file `.wh.NAME` becomes the character device 0/0 NAME; `.wh..wh..opq` in a directory, or the program's own xattr
    on it, becomes overlay's opaque xattr. Its notes of where a file came from go. Times stay. Raises OSError.
    """
    handles = DirectoryHandles((upper,))
    folders = [""]
    for folder in folders:  # grows while it is walked
        directory = handles.get(folder)
        with os.scandir(directory.fd) as entries:
            listed = [(entry.name, entry.stat(follow_symlinks=False)) for entry in entries]
        folders += [join(folder, name) for name, st in listed if stat.S_ISDIR(st.st_mode)]
        whiteouts = [(name, st) for name, st in listed if name.startswith(WHITEOUT) and _is_mark(name, st)]
        for name, st in listed:
            if stat.S_ISREG(st.st_mode):
                _strip(f"/proc/self/fd/{directory.fd}/{name}")
        xattrs = [name for name in _xattrs(directory.fd) if name.startswith(PRIVATE_XATTRS)]
        if not whiteouts and not xattrs:
            continue
        before = os.fstat(directory.fd)
        if PRIVATE_XATTRS + "opaque" in xattrs or any(name == OPAQUE_FILES[0] for name, _ in whiteouts):
            os.setxattr(directory.fd, prefix + "opaque", b"y")
        for name in xattrs:
            os.removexattr(directory.fd, name)
        for name, _ in whiteouts:
            os.unlink(name, dir_fd=directory.fd)
            if name not in OPAQUE_FILES:
                os.mknod(name.removeprefix(WHITEOUT), stat.S_IFCHR, 0, dir_fd=directory.fd)
        os.utime(directory.fd, ns=(before.st_atime_ns, before.st_mtime_ns))


def _is_mark(name: str, st: os.stat_result) -> bool:
    """Whether the program has made it: an empty file, or the device 0/0 `.wh..opq`."""
    if name == OPAQUE_FILES[1] and stat.S_ISCHR(st.st_mode):
        return st.st_rdev == 0
    return stat.S_ISREG(st.st_mode) and st.st_size == 0


def _strip(path: str) -> None:
    for name in _xattrs(path):
        if name.startswith(PRIVATE_XATTRS):
            os.removexattr(path, name, follow_symlinks=False)


def _xattrs(target: int | str) -> list[str]:
    try:
        return os.listxattr(target) if isinstance(target, int) else os.listxattr(target, follow_symlinks=False)
    except OSError as error:
        if error.errno in (errno.ENOTSUP, errno.ENODATA):
            return []
        raise
