"""Applies a container plan inside the container's first process, up to execve(2).

Runs in the launcher's children, without site-packages: standard library and its neighbours `syscalls`,
`stage` and `rootfs` only. What is done was decided by `pywerf.isolation.plan`, which describes the
plan's keys.
"""

from __future__ import annotations

import errno
import os

from pywerf.linux import syscalls as sys
from pywerf.linux.rootfs import Root, enter_root, mount_all, mount_rootfs
from pywerf.linux.stage import Steps
from pywerf.linux.supervision import hand_over

TYPE_CHECKING = False  # the typing module would double the launcher's start-up time
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    Ready = Callable[[list[str], int | None], None]

__all__ = [
    "candidates_of",
    "execute",
    "join_cgroups",
    "open_terminal",
    "own_terminal",
    "report_and_exit",
    "run",
    "take_back",
    "take_identity",
]

NOT_FOUND, NOT_EXECUTABLE = 127, 126


def open_terminal(like: int, ptmx: str) -> tuple[int, int]:
    """A new pseudo-terminal: (master, slave). It takes the window size of `like`, when that is a terminal."""
    from fcntl import ioctl
    from struct import pack

    unlock, peer = 0x40045431, 0x5441  # TIOCSPTLCK, TIOCGPTPEER (ioctl_tty(2))
    master = os.open(ptmx, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    ioctl(master, unlock, pack("i", 0))
    slave = ioctl(master, peer, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    if os.isatty(like):
        get_size, set_size = 0x5413, 0x5414
        ioctl(master, set_size, ioctl(like, get_size, bytes(8)))
    return master, slave


def join_cgroups(plan: dict[str, Any], step: Steps) -> None:
    """Move into cgroups that are made already; a cgroup namespace then begins there (cgroup_namespaces(7))."""
    for path in plan["cgroups"]:
        step(f"join the cgroup {os.path.dirname(path)}")
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, b"0")
        finally:
            os.close(fd)
    if plan["cgroup_namespace"]:
        step("make a cgroup namespace")
        sys.unshare(sys.CLONE_NEWCGROUP)


def _label_next_execution(plan: dict[str, Any], step: Steps) -> None:
    """The security module's label of the command: it counts from execve(2) on (proc_pid_attr(5))."""
    for module, value in (("apparmor", plan["apparmor"]), ("selinux", plan["selinux"])):
        if not value:
            continue
        step(f"set the {module} label {value}")
        folder = "/proc/thread-self/attr"
        # Where several modules are stacked each has a folder of its own.
        own = f"{folder}/{module}/exec"
        path = own if os.path.exists(own) else f"{folder}/exec"
        if value == "unconfined" and not os.path.exists(path):
            continue
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, f"exec {value}".encode() if module == "apparmor" else value.encode())
        except OSError:
            # Nothing confines where there is no AppArmor: that is what is wanted.
            if value != "unconfined":
                raise
        finally:
            os.close(fd)


def take_identity(plan: dict[str, Any], step: Steps, supervision: int = -1) -> None:
    """Limits, capabilities, system call filter, user: in the order in which each is still allowed."""
    for resource, soft, hard in plan["rlimits"]:
        step(f"set resource limit {resource} to {soft}:{hard}")
        sys.prlimit(0, resource, soft, hard)
    step("enter the working directory " + plan["cwd"])
    os.chdir(plan["cwd"])
    _label_next_execution(plan, step)
    step("drop capabilities")
    wanted = plan["capabilities"]
    for number in range(plan["last_capability"] + 1):
        if not wanted >> number & 1 and sys.prctl(sys.PR_CAPBSET_READ, number):
            sys.prctl(sys.PR_CAPBSET_DROP, number)
    if plan["no_new_privileges"]:
        sys.prctl(sys.PR_SET_NO_NEW_PRIVS, 1)
    step("install the seccomp filter")
    if plan["seccomp"]:
        sys.seccomp(plan["seccomp"], plan["seccomp_flags"])
    supervised = plan["supervision"]
    if supervised is not None:
        step("have system calls supervised")
        hand_over(supervision, supervised)
    mask = wanted if plan["uid"] == 0 else 0
    if supervised is not None and supervised["everything"]:
        mask = wanted  # all users are the one id: it must reach the files of all of them
    else:
        step(f"become user {plan['uid']}:{plan['gid']}")
        if plan["groups"] is not None:
            sys.setgroups(plan["groups"])
        sys.setresgid(plan["gid"])
        sys.setresuid(plan["uid"])
    step("take the capabilities")
    sys.capset(mask, mask, 0)
    # The change of user cleared it; the launcher's end must stay this process's end.
    sys.prctl(sys.PR_SET_PDEATHSIG, 9)


def run(plan: dict[str, Any], descriptors: list[int], ready: Ready, supervision: int = -1) -> None:
    """All that is left after `prepare`, up to execve(2); never returns.

    `descriptors` are the new standard input, output and error. `ready(created, console)` is called when
    only the execution itself is left; `console` is a terminal's master side or None. Raises SetupFailed
    before that. When the command cannot be executed the process says so on standard error and exits
    with 127 (not found) or 126, as a shell does.
    `supervision` is the socket to the launcher's `Supervision`, when the plan has one.
    """
    step = Steps()
    root: Root | None = None
    console = None
    try:
        os.setsid()
        join_cgroups(plan, step)
        step("mount the root file system")
        mount_rootfs(plan["rootfs"])
        root = Root("root")
        if plan["terminal"]:
            step("open a terminal")
            console, terminal = open_terminal(descriptors[0], "dev/pts/ptmx")
            os.close(os.open("dev/console", os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
            sys.mount(f"/proc/self/fd/{terminal}", "dev/console", None, sys.MS_BIND)
            descriptors = [terminal, terminal, terminal]
        mount_all(plan, root, step)
        if plan["hostname"]:
            step(f"set the host name {plan['hostname']}")
            sys.sethostname(plan["hostname"])
        step("enter the root file system")
        enter_root(root)
        os.umask(0o022)
        step("join a session keyring")
        try:
            sys.join_session_keyring()
        except OSError as error:
            if error.errno not in (errno.ENOSYS, errno.EPERM, errno.EDQUOT):
                raise
        step("connect the standard streams")
        for number, fd in enumerate(descriptors):
            os.dup2(fd, number)
        if plan["terminal"]:
            own_terminal()
        take_identity(plan, step, supervision)
    except OSError as error:
        if root is not None:
            take_back(root)
        raise step.failed(error) from error
    ready(root.created, console)
    sys.close_range(3, -1, sys.CLOSE_RANGE_CLOEXEC)
    execute(plan["argv"], plan["env"])


def take_back(root: Root) -> None:
    """Remove the mount points that were made, since there is no container after all."""
    try:
        root.remove_created()
    except OSError:
        return  # what stopped the container stops this too; the first reason is what is told


def own_terminal() -> None:
    """Make standard input the controlling terminal of this new session (ioctl_tty(2), TIOCSCTTY)."""
    from fcntl import ioctl

    take = 0x540E  # TIOCSCTTY
    ioctl(0, take, 0)


def execute(argv: list[str], env: list[str]) -> None:
    """execve(2) with the PATH of the container's environment."""
    environment = {}
    for line in env:
        key, _, value = line.partition("=")
        environment[key] = value
    command = argv[0]
    candidates = candidates_of(command, environment.get("PATH"))
    refused: OSError | None = None
    for candidate in candidates:
        try:
            os.execve(candidate, argv, environment)
        except (FileNotFoundError, NotADirectoryError) as error:
            # A missing interpreter (#!) of a file that is there has the same errno.
            if "/" in command or os.path.exists(candidate):
                refused = refused or error
        except OSError as error:
            refused = error
    report_and_exit(command, refused)


def candidates_of(command: str, path: str | None) -> list[str]:
    """Where a command may be, as execvp(3) looks for it."""
    if "/" in command:
        return [command]
    folders = ("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" if path is None else path).split(":")
    return [f"{folder or '.'}/{command}" for folder in folders] if command else []


def report_and_exit(command: str, refused: OSError | None) -> NoReturn:
    """Say on standard error that the command cannot be executed (None: nowhere found), and end as a shell does."""
    status = NOT_FOUND
    if refused is None:
        text = "executable file not found in $PATH"
    else:
        text = (refused.strerror or str(refused)).lower()
        if refused.errno == errno.ENOEXEC:
            text = "exec format error"
        if refused.errno not in (errno.ENOENT, errno.ENOTDIR):
            status = NOT_EXECUTABLE
    try:
        os.write(2, os.fsencode(f'exec: "{command}": {text}\n'))
    finally:
        os._exit(status)
