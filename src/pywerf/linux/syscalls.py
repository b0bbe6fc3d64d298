"""System calls that Python 3.11 has no function for, as thin ctypes calls: the only ctypes of the project.

Every function keeps the kernel's name and argument order, raises OSError with the kernel's errno,
and is described by its man page, section 2.
The module stands in the launcher too, which has no site-packages: standard library only.
"""

from __future__ import annotations

import ctypes
import os
from sys import byteorder

__all__ = [
    "AT_EMPTY_PATH",
    "AT_FDCWD",
    "AT_RECURSIVE",
    "CLONE_NEWCGROUP",
    "CLONE_NEWIPC",
    "CLONE_NEWNET",
    "CLONE_NEWNS",
    "CLONE_NEWPID",
    "CLONE_NEWUSER",
    "CLONE_NEWUTS",
    "CLOSE_RANGE_CLOEXEC",
    "IN_MODIFY",
    "MNT_DETACH",
    "MOUNT_ATTR_IDMAP",
    "MOUNT_ATTR_NODEV",
    "MOUNT_ATTR_NODIRATIME",
    "MOUNT_ATTR_NOEXEC",
    "MOUNT_ATTR_NOSUID",
    "MOUNT_ATTR_RDONLY",
    "MOVE_MOUNT_F_EMPTY_PATH",
    "MOVE_MOUNT_T_EMPTY_PATH",
    "MS_BIND",
    "MS_DIRSYNC",
    "MS_LAZYTIME",
    "MS_MOVE",
    "MS_NOATIME",
    "MS_NODEV",
    "MS_NODIRATIME",
    "MS_NOEXEC",
    "MS_NOSUID",
    "MS_PRIVATE",
    "MS_RDONLY",
    "MS_REC",
    "MS_RELATIME",
    "MS_REMOUNT",
    "MS_SHARED",
    "MS_SLAVE",
    "MS_STRICTATIME",
    "MS_SYNCHRONOUS",
    "MS_UNBINDABLE",
    "OPEN_TREE_CLOEXEC",
    "OPEN_TREE_CLONE",
    "PR_CAPBSET_DROP",
    "PR_CAPBSET_READ",
    "PR_CAP_AMBIENT",
    "PR_SET_CHILD_SUBREAPER",
    "PR_SET_DUMPABLE",
    "PR_SET_NO_NEW_PRIVS",
    "PR_SET_PDEATHSIG",
    "PR_SET_SECUREBITS",
    "SECBIT_NO_SETUID_FIXUP",
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
    "SECCOMP_SET_MODE_FILTER",
    "capget",
    "capset",
    "close_range",
    "fsconfig_create",
    "fsmount",
    "fsopen",
    "inotify_add_watch",
    "inotify_init1",
    "join_session_keyring",
    "mount",
    "mount_setattr",
    "move_mount",
    "open_tree",
    "pivot_root",
    "prctl",
    "prlimit",
    "seccomp",
    "seccomp_call",
    "setfsgid",
    "setfsuid",
    "setgroups",
    "sethostname",
    "setns",
    "setresgid",
    "setresuid",
    "statx",
    "umount2",
    "unshare",
]

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_SYNCHRONOUS = 16
MS_REMOUNT = 32
MS_DIRSYNC = 128
MS_NOATIME = 1024
MS_NODIRATIME = 2048
MS_BIND = 4096
MS_MOVE = 8192
MS_REC = 16384
MS_UNBINDABLE = 1 << 17
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19
MS_SHARED = 1 << 20
MS_RELATIME = 1 << 21
MS_STRICTATIME = 1 << 24
MS_LAZYTIME = 1 << 25
MNT_DETACH = 2

AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000
OPEN_TREE_CLONE = 1
OPEN_TREE_CLOEXEC = os.O_CLOEXEC
MOVE_MOUNT_F_EMPTY_PATH = 0x04
MOVE_MOUNT_T_EMPTY_PATH = 0x40
MOUNT_ATTR_RDONLY = 0x1
MOUNT_ATTR_NOSUID = 0x2
MOUNT_ATTR_NODEV = 0x4
MOUNT_ATTR_NOEXEC = 0x8
MOUNT_ATTR_NODIRATIME = 0x80
MOUNT_ATTR_IDMAP = 0x00100000

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_CAPBSET_READ = 23
PR_CAPBSET_DROP = 24
PR_SET_SECUREBITS = 28
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_CLEAR_ALL = 4
SECBIT_NO_SETUID_FIXUP = 4

SECCOMP_SET_MODE_FILTER = 1
SECCOMP_FILTER_FLAG_SPEC_ALLOW = 4
CLOSE_RANGE_CLOEXEC = 4
FSOPEN_CLOEXEC = FSMOUNT_CLOEXEC = 1
FSCONFIG_CMD_CREATE = 6
IN_MODIFY = 2
KEYCTL_JOIN_SESSION_KEYRING = 1
LINUX_CAPABILITY_VERSION_3 = 0x20080522
RLIM_INFINITY = (1 << 64) - 1

# Numbers of calls without a wrapper in older C libraries; from 424 on they are the same everywhere.
_X86_64 = {"pivot_root": 155, "capget": 125, "capset": 126, "keyctl": 250, "seccomp": 317, "statx": 332}
_GENERIC = {"pivot_root": 41, "capget": 90, "capset": 91, "keyctl": 219, "seccomp": 277, "statx": 291}
_COMMON = {
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "close_range": 436,
    "mount_setattr": 442,
}

_libc: ctypes.CDLL | None = None
_numbers: dict[str, int] = {}


def _c() -> ctypes.CDLL:
    global _libc
    if _libc is None:
        _libc = ctypes.CDLL(None, use_errno=True)
        _numbers.update(_X86_64 if os.uname().machine == "x86_64" else _GENERIC)
        _numbers.update(_COMMON)
    return _libc


def _check(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def _syscall(name: str, *arguments: int | bytes | ctypes.Array[ctypes.c_char] | None) -> int:
    """syscall(2) by name; integers are passed as longs, which variadic calls need."""
    libc = _c()
    words = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    return _check(libc.syscall(ctypes.c_long(_numbers[name]), *words))


def _path(path: str | bytes | None) -> bytes | None:
    return None if path is None else os.fsencode(path)


def mount(source: str | None, target: str, fstype: str | None, flags: int, data: str | None = None) -> None:
    """mount(2). CAP_SYS_ADMIN in the user namespace of the mount namespace."""
    _check(_c().mount(_path(source), _path(target), _path(fstype), ctypes.c_ulong(flags), _path(data)))


def umount2(target: str, flags: int = 0) -> None:
    """umount2(2). CAP_SYS_ADMIN."""
    _check(_c().umount2(_path(target), flags))


def pivot_root(new_root: str, put_old: str) -> None:
    """pivot_root(2). CAP_SYS_ADMIN. EINVAL when the present root is the initial ramfs."""
    _syscall("pivot_root", os.fsencode(new_root), os.fsencode(put_old))


def open_tree(dirfd: int, path: str, flags: int) -> int:
    """open_tree(2), Linux 5.2: a descriptor of a mount, or with OPEN_TREE_CLONE of a detached copy."""
    return _syscall("open_tree", dirfd, os.fsencode(path), flags)


def move_mount(from_dirfd: int, from_path: str, to_dirfd: int, to_path: str, flags: int) -> None:
    """move_mount(2), Linux 5.2. CAP_SYS_ADMIN."""
    _syscall("move_mount", from_dirfd, os.fsencode(from_path), to_dirfd, os.fsencode(to_path), flags)


def mount_setattr(
    dirfd: int, path: str, flags: int, attr_set: int, attr_clr: int = 0, propagation: int = 0, userns_fd: int = 0
) -> None:
    """mount_setattr(2), Linux 5.12: MOUNT_ATTR_* and propagation of a mount (AT_RECURSIVE: and those below).

    `userns_fd` is for MOUNT_ATTR_IDMAP, which needs CAP_SYS_ADMIN in the user namespace of the file system.
    """
    buffer = ctypes.create_string_buffer(
        b"".join(value.to_bytes(8, byteorder) for value in (attr_set, attr_clr, propagation, userns_fd)), 32
    )
    _syscall("mount_setattr", dirfd, os.fsencode(path), flags, buffer, 32)


def unshare(flags: int) -> None:
    """unshare(2). CAP_SYS_ADMIN, but for CLONE_NEWUSER, which a process with threads cannot have."""
    _check(_c().unshare(flags))


def setns(fd: int, nstype: int) -> None:
    """setns(2). CAP_SYS_ADMIN in the namespace's user namespace."""
    _check(_c().setns(fd, nstype))


def sethostname(name: str) -> None:
    """sethostname(2). CAP_SYS_ADMIN in the UTS namespace's user namespace."""
    data = os.fsencode(name)
    _check(_c().sethostname(data, ctypes.c_size_t(len(data))))


def prctl(option: int, arg2: int = 0, arg3: int = 0, arg4: int = 0, arg5: int = 0) -> int:
    """prctl(2)."""
    return _check(_c().prctl(option, *(ctypes.c_ulong(value) for value in (arg2, arg3, arg4, arg5))))


def capget() -> tuple[int, int, int]:
    """capget(2) of the calling thread: bit masks (effective, permitted, inheritable)."""
    header = ctypes.create_string_buffer(LINUX_CAPABILITY_VERSION_3.to_bytes(4, byteorder) + bytes(4), 8)
    data = ctypes.create_string_buffer(24)
    _syscall("capget", header, data)
    words = [int.from_bytes(data.raw[at : at + 4], byteorder) for at in range(0, 24, 4)]
    effective, permitted, inheritable = (words[at] | words[at + 3] << 32 for at in range(3))
    return effective, permitted, inheritable


def capset(effective: int, permitted: int, inheritable: int) -> None:
    """capset(2) of the calling thread, by bit masks. Nothing outside the present permitted set may be raised."""
    header = ctypes.create_string_buffer(LINUX_CAPABILITY_VERSION_3.to_bytes(4, byteorder) + bytes(4), 8)
    masks = (effective, permitted, inheritable)
    words = [mask & 0xFFFFFFFF for mask in masks] + [mask >> 32 for mask in masks]
    data = ctypes.create_string_buffer(b"".join(word.to_bytes(4, byteorder) for word in words), 24)
    _syscall("capset", header, data)


def seccomp(program: bytes, flags: int = 0) -> int:
    """seccomp(2) SECCOMP_SET_MODE_FILTER with an array of struct sock_filter (8 bytes each); a listener, if asked for.

    CAP_SYS_ADMIN, or no_new_privs.
    """
    instructions = ctypes.create_string_buffer(program, len(program))
    pointer_size = ctypes.sizeof(ctypes.c_void_p)
    fprog = ctypes.create_string_buffer(
        (len(program) // 8).to_bytes(pointer_size, byteorder)
        + ctypes.addressof(instructions).to_bytes(pointer_size, byteorder),
        2 * pointer_size,
    )
    return _syscall("seccomp", SECCOMP_SET_MODE_FILTER, flags, fprog)


def seccomp_call(operation: int, flags: int, argument: bytes) -> None:
    """seccomp(2) with an operation that only asks."""
    _syscall("seccomp", operation, flags, ctypes.create_string_buffer(argument, len(argument)))


def fsopen(fstype: str) -> int:
    """fsopen(2), Linux 5.2: a descriptor of a file system to be configured. CAP_SYS_ADMIN."""
    return _syscall("fsopen", os.fsencode(fstype), FSOPEN_CLOEXEC)


def fsconfig_create(fd: int) -> None:
    """fsconfig(2) FSCONFIG_CMD_CREATE: make the superblock."""
    _syscall("fsconfig", fd, FSCONFIG_CMD_CREATE, None, None, 0)


def fsmount(fd: int, attributes: int) -> int:
    """fsmount(2): a descriptor of the file system's root, mounted nowhere."""
    return _syscall("fsmount", fd, FSMOUNT_CLOEXEC, attributes)


def statx(path: bytes, flags: int, mask: int, buffer: ctypes.Array[ctypes.c_char]) -> None:
    """statx(2), Linux 4.11, of a path from the working folder on, into 256 bytes."""
    _syscall("statx", AT_FDCWD, path, flags, mask, buffer)


def prlimit(pid: int, resource: int, soft: int, hard: int) -> tuple[int, int]:
    """prlimit(2): set a limit (-1: unlimited), give the former one.

    A hard limit above the present one needs CAP_SYS_RESOURCE in the initial user namespace.
    """
    new = ctypes.create_string_buffer(b"".join((v & RLIM_INFINITY).to_bytes(8, byteorder) for v in (soft, hard)), 16)
    old = ctypes.create_string_buffer(16)
    _check(_c().prlimit64(pid, resource, new, old))
    values = [int.from_bytes(old.raw[at : at + 8], byteorder) for at in (0, 8)]
    former_soft, former_hard = (-1 if value == RLIM_INFINITY else value for value in values)
    return former_soft, former_hard


def setfsuid(uid: int) -> None:
    """setfsuid(2), which tells nothing of a failure. CAP_SETUID."""
    _c().setfsuid(uid)


def setfsgid(gid: int) -> None:
    """setfsgid(2), which tells nothing of a failure. CAP_SETGID."""
    _c().setfsgid(gid)


def setgroups(groups: list[int]) -> None:
    """setgroups(2). CAP_SETGID."""
    os.setgroups(groups)


def setresgid(gid: int) -> None:
    """setresgid(2) with one id for real, effective and saved. CAP_SETGID."""
    os.setresgid(gid, gid, gid)


def setresuid(uid: int) -> None:
    """setresuid(2) with one id for real, effective and saved. CAP_SETUID."""
    os.setresuid(uid, uid, uid)


def close_range(first: int, last: int, flags: int = 0) -> None:
    """close_range(2), Linux 5.9: `last` is inclusive, -1 means all that follow."""
    _syscall("close_range", first, last if last >= 0 else 0xFFFFFFFF, flags)


def inotify_init1(flags: int) -> int:
    """inotify_init1(2): a descriptor that tells of changes; IN_NONBLOCK and IN_CLOEXEC are open(2)'s."""
    return _check(_c().inotify_init1(flags))


def inotify_add_watch(fd: int, path: str, mask: int) -> int:
    """inotify_add_watch(2)."""
    return _check(_c().inotify_add_watch(fd, _path(path), ctypes.c_uint32(mask)))


def join_session_keyring() -> None:
    """keyctl(2) KEYCTL_JOIN_SESSION_KEYRING with a new anonymous keyring."""
    _syscall("keyctl", KEYCTL_JOIN_SESSION_KEYRING, None)
