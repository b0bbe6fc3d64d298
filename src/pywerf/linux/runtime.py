"""Makes a bundle ready for an OCI runtime, starts it, and stays as the parent of its container.

Runs in the launcher's children, in place of `apply`: standard library and its neighbours only. What is done was
decided by `pywerf.isolation.bundle`. This process is the first of a pid namespace, and has mounts of its own: whatever
the runtime leaves behind ends with it.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # `signal` imports enum, which costs milliseconds
import _socket
import errno
import os
import stat

from pywerf.linux import syscalls as sys
from pywerf.linux.apply import candidates_of, join_cgroups, open_terminal, own_terminal, report_and_exit, take_back
from pywerf.linux.rootfs import Root, mount_all, mount_rootfs
from pywerf.linux.stage import OPERATIONS, SetupFailed, Steps
from pywerf.linux.supervision import send

TYPE_CHECKING = False  # the typing module would double the launcher's start-up time
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    from pywerf.linux.apply import Ready

__all__ = ["run_runtime"]

BUNDLE, STATE, LOG, PID, CONSOLE = "bundle", "state", "log", "pid", "bundle/console"
NOTIFICATIONS = "bundle/notifications"  # where the runtime sends the listener of system calls
LOG_MAX = 1 << 16
EVERY_SIGNAL = frozenset(range(1, 65)) - {9, 19, 32, 33}  # all that can be blocked and are not the C library's


def run_runtime(
    plan: dict[str, Any],
    descriptors: list[int],
    ready: Ready,
    failed: Callable[[SetupFailed], None],
    supervision: int = -1,
) -> NoReturn:
    """All that is left after `prepare`, to the end of the container; never returns.

    `ready` and `supervision` are as for `apply.run`. Raises SetupFailed before that; `failed` is told what the runtime
    has to say when that turns out later. A command that is not in the image ends the process as a shell would, and the
    runtime is not even asked.
    """
    step = Steps()
    root: Root | None = None
    runtime = plan["runtime"]
    try:
        os.setsid()
        join_cgroups(plan, step)
        for operation in runtime["view"]:
            step(f"set up {operation[0]} {operation[-1]}")
            OPERATIONS[operation[0]](*operation[1:])
        step("mount the root file system")
        mount_rootfs(plan["rootfs"])
        root = Root("root")
        if plan["terminal"]:
            # Where the runtime mounts the container's terminal.
            os.close(os.open("dev/console", os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        mount_all(plan, root, step)
        step("enter the working directory " + plan["cwd"])
        os.close(root.open(plan["cwd"], "", check=False))
        step("write the bundle")
        with_tmp = runtime["config_with_tmp"] and _is_folder(root, "tmp")
        _write_bundle(runtime["config_with_tmp"] if with_tmp else runtime["config"])
        found, refused = find_command(plan, root)
        if not found:
            ready(root.created, None)
            for number, fd in enumerate(descriptors):
                os.dup2(fd, number)
            report_and_exit(plan["argv"][0], refused)
        step(f"start {runtime['argv'][0]}")
        supervisor = Supervisor(plan, descriptors, supervision)
        console = supervisor.start()
    except BaseException as error:
        if root is not None:
            take_back(root)
        if isinstance(error, OSError):
            raise step.failed(error) from error
        raise
    for fd in descriptors:
        os.close(fd)
    ready(root.created, console)
    if console is not None:
        os.close(console)
    os._exit(supervisor.wait(failed))


def _is_folder(root: Root, name: str) -> bool:
    try:
        return stat.S_ISDIR(os.lstat(name, dir_fd=root.fd).st_mode)
    except FileNotFoundError:
        return False


def _write_bundle(config: bytes) -> None:
    os.mkdir(BUNDLE, 0o700)
    os.mkdir(STATE, 0o700)
    fd = os.open(f"{BUNDLE}/config.json", os.O_CREAT | os.O_WRONLY | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        view = memoryview(config)
        while view:
            view = view[os.write(fd, view) :]
    finally:
        os.close(fd)


def _listen(path: str) -> _socket.socket:
    """A socket on which the runtime passes a descriptor on, before it ends."""
    listener = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    listener.bind(path)
    listener.listen(1)
    return listener


def _received(listener: _socket.socket) -> int:
    """The descriptor that a runtime has passed on, which has ended since. Raises BlockingIOError when it has not."""
    listener.setblocking(False)
    connection, _ = listener._accept()  # type: ignore[attr-defined]  # `_socket` is what `socket` is made of
    peer = _socket.socket(fileno=connection)
    _, ancillary, _, _ = peer.recvmsg(1 << 16, _socket.CMSG_SPACE(4), _socket.MSG_CMSG_CLOEXEC)
    peer.close()
    listener.close()
    return int.from_bytes(ancillary[0][2][:4], "little")


class Supervisor:
    """The first process of the runtime's pid namespace: starts the runtime, adopts the container, passes signals on."""

    def __init__(self, plan: dict[str, Any], descriptors: list[int], supervision: int) -> None:
        self.argv: list[str] = plan["runtime"]["argv"]
        self.env: dict[str, str] = plan["runtime"]["env"]
        self.detaches: bool = plan["runtime"]["detaches"]
        self.kill: list[str] = plan["runtime"]["kill"]
        self.delete: list[str] = plan["runtime"]["delete"]
        self.descriptors = descriptors
        self.files: list[int] = []  # that a runtime which stays writes to
        self.terminal: bool = plan["terminal"]
        self.supervised: dict[str, Any] | None = plan["supervision"]
        self.supervision = supervision
        self.container = 0  # its first process, or the runtime that stays with it
        self.ended: dict[int, int] = {}  # exit statuses, as a shell has them, of processes by number

    def start(self) -> int | None:
        """Start the container; its terminal's master side, if it has one. Raises OSError, SetupFailed."""
        # A signal that comes before the container is there waits until it is.
        _signal.pthread_sigmask(_signal.SIG_BLOCK, EVERY_SIGNAL)
        if not self.detaches:
            return self._start_attached()
        terminals = _listen(CONSOLE) if self.terminal else None
        notifications = _listen(NOTIFICATIONS) if self.supervised is not None else None
        runtime = self._spawn(self.descriptors)
        status = self._reap(runtime)
        if status:
            raise self._failure(status)
        with open(PID, "rb") as file:  # a text would need a codec, whose file may be out of reach
            self.container = int(file.read())
        if notifications is not None:
            try:
                self._have_supervised(_received(notifications))
            except BlockingIOError:
                os.close(self.supervision)  # it knows nothing of listeners
        return None if terminals is None else _received(terminals)

    def _have_supervised(self, listener: int) -> None:
        """Pass the listener of the container's system calls on to the launcher (see `pywerf.linux.supervision`)."""
        socket = _socket.socket(fileno=self.supervision)
        try:
            namespace = os.open(f"/proc/{self.container}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
            send(socket, self.supervised or {}, listener, namespace)
        except FileNotFoundError:
            os.close(listener)  # it has ended already
        finally:
            socket.close()

    def _start_attached(self) -> int | None:
        """A runtime that stays until its container ends; with a terminal it lives on one, which it passes on."""
        console = None
        descriptors = self.descriptors
        if self.terminal:
            console, terminal = open_terminal(descriptors[0], "/dev/ptmx")
            descriptors = [terminal, terminal, terminal]
        else:
            # It keeps places in files by itself, from 0 on, and moves none on for whoever writes after it.
            self.files = [os.dup(fd) for fd in descriptors[1:] if stat.S_ISREG(os.fstat(fd).st_mode)]
            descriptors = [descriptors[0], *map(appending, descriptors[1:])]
        self.container = self._spawn(descriptors)
        return console

    def _spawn(self, descriptors: list[int], argv: list[str] | None = None) -> int:
        """Start the runtime in the bundle, or another command of its."""
        argv, terminal = (self.argv, self.terminal) if argv is None else (argv, False)
        pid = os.fork()
        if pid:
            return pid
        try:
            os.chdir(BUNDLE)
            for number, fd in enumerate(descriptors):
                os.dup2(fd, number)
            sys.close_range(3, -1)
            if terminal and not self.detaches:
                os.setsid()
                own_terminal()
            _signal.pthread_sigmask(_signal.SIG_SETMASK, [])
            os.execve(argv[0], argv, self.env)
        except OSError as error:
            os.write(2, os.fsencode(f"{argv[0]}: {error.strerror}\n"))
        finally:
            os._exit(127)

    def _spawn_silently(self, argv: list[str]) -> int:
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        pid = self._spawn([null, null, null], argv)
        os.close(null)
        return pid

    def _reap(self, pid: int) -> int:
        """Wait for a process; its exit status. A container may have ended before its runtime has."""
        while pid not in self.ended:
            self._note(*os.waitpid(-1, 0))
        return self.ended[pid]

    def _note(self, pid: int, status: int) -> None:
        code = os.waitstatus_to_exitcode(status)
        self.ended[pid] = code if code >= 0 else 128 - code

    def wait(self, failed: Callable[[SetupFailed], None]) -> int:
        """Until the container has ended; its exit status. Signals are passed on to it."""
        while self.container not in self.ended:
            number = _signal.sigwaitinfo(EVERY_SIGNAL).si_signo
            if number == _signal.SIGCHLD:
                self._note_all()
                continue
            self._send(number)
        for fd in self.files:
            os.lseek(fd, 0, os.SEEK_END)
        if self.delete:
            self._reap(self._spawn_silently(self.delete))
        code = self.ended[self.container]
        if code and not self.detaches and (not os.path.exists(PID) or _logged()):
            failed(self._failure(code))
        return code

    def _send(self, number: int) -> None:
        """A runtime that stays would end of a signal, and take the container with it: it is asked to pass it on."""
        if self.kill and os.path.exists(PID):
            self._spawn_silently([*self.kill, str(number)])
            return
        try:
            os.kill(self.container, number)
        except ProcessLookupError:
            return  # it has ended, as the next signal will tell

    def _note_all(self) -> None:
        """Signals of children's ends are not counted: one may stand for several."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            self._note(pid, status)

    def _failure(self, status: int) -> SetupFailed:
        """What the runtime has logged, and its status as a number below 0: errno is above.

        Until its log is there it says what is wrong on standard error, which is the container's: who reads that knows.
        """
        name = self.argv[0].rpartition("/")[2]
        return SetupFailed(f"run the container with {name}", -status, _logged())


def _logged() -> str:
    try:
        with open(LOG, encoding="utf-8", errors="replace") as file:
            return file.read(LOG_MAX)
    except FileNotFoundError:
        return ""


def appending(fd: int) -> int:
    """A descriptor that writes to the end of what is a file, whatever place the writer has in mind; else the same."""
    if stat.S_ISREG(os.fstat(fd).st_mode):
        try:
            return os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        except OSError:
            return fd  # somebody else's, whom we have it from
    return fd


def find_command(plan: dict[str, Any], root: Root) -> tuple[bool, OSError | None]:
    """Whether the command is there to be executed, and if not, why (None: it is nowhere in PATH).

    Runtimes word this in their own ways, and their status is that of any failure of theirs. What is not decided here
    (a file in /proc, an interpreter that cannot run) is left to them.
    """
    path = None
    for line in plan["env"]:
        key, _, value = line.partition("=")
        if key == "PATH":
            path = value
    command = plan["argv"][0]
    refused: OSError | None = None
    for candidate in candidates_of(command, path):
        where = candidate if candidate.startswith("/") else f"{plan['cwd']}/{candidate}"
        try:
            _check_executable(root, where, plan["uid"], [plan["gid"], *(plan["groups"] or [])])
        except (FileNotFoundError, NotADirectoryError) as error:
            # A missing interpreter (#!) of a file that is there has the same errno.
            if "/" in command or error.filename == INTERPRETER:
                refused = refused or error
        except OSError as error:
            refused = error
        else:
            return True, None
    return False, refused


INTERPRETER = "interpreter"
SHEBANG_MAX = 256


def _check_executable(root: Root, path: str, uid: int, gids: list[int]) -> None:
    """Raise the OSError that execve(2) would have for a file of the root file system."""
    fd = root.open(path, "", check=False)
    try:
        status = os.fstat(fd)
        if status.st_dev in root.kernel_devices:
            return
        if not stat.S_ISREG(status.st_mode) or not _may_execute(status, uid, gids):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        with open(f"/proc/self/fd/{fd}", "rb", buffering=0) as file:
            start = file.read(SHEBANG_MAX)
    finally:
        os.close(fd)
    if start.startswith(b"#!"):
        words = start[2:].split(b"\n", 1)[0].split()
        if words and words[0].startswith(b"/"):
            try:
                os.close(root.open(os.fsdecode(words[0]), "", check=False))
            except FileNotFoundError:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), INTERPRETER) from None


def _may_execute(status: os.stat_result, uid: int, gids: list[int]) -> bool:
    if uid == 0:
        return bool(status.st_mode & 0o111)
    if uid == status.st_uid:
        return bool(status.st_mode & 0o100)
    return bool(status.st_mode & (0o010 if status.st_gid in gids else 0o001))
