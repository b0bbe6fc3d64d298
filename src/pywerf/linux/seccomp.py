"""Docker's default seccomp profile as a BPF program of our own making (seccomp(2)).

The profile (Docker Engine, "Seccomp security profiles") allows what ordinary programs need and denies
the rest with EPERM; some calls are opened by capabilities. A program is compiled once per capability
set: a binary search over the number ranges with one action, so that the kernel decides most calls
without looking at arguments (and keeps the answer in its per-call bitmap).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from pywerf.linux.syscall_numbers import numbers

__all__ = ["AUDIT_ARCH", "SUPPORTED", "Instruction", "compile_default", "encode"]

# linux/audit.h: the ELF machine, 64-bit and little-endian marks.
AUDIT_ARCH = {"x86_64": 0xC000003E, "i386": 0x40000003, "aarch64": 0xC00000B7, "arm": 0x40000028}
SUPPORTED = {"x86_64": ("x86_64", "i386"), "aarch64": ("aarch64", "arm")}

# Every ABI's calls that need no capability. Names that an architecture lacks are skipped.
ALLOWED = """
_llseek _newselect accept accept4 access adjtimex alarm bind brk cachestat capget capset chdir chmod chown chown32
clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep
clock_nanosleep_time64 close close_range connect copy_file_range creat dup dup2 dup3 epoll_create epoll_create1
epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 execve execveat exit
exit_group faccessat faccessat2 fadvise64 fadvise64_64 fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown
fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat fstat64
fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futex futex_requeue futex_time64 futex_wait futex_waitv
futex_wake futimesat get_robust_list get_thread_area getcpu getcwd getdents getdents64 getegid getegid32 geteuid
geteuid32 getgid getgid32 getgroups getgroups32 getitimer getpeername getpgid getpgrp getpid getppid getpriority
getrandom getresgid getresgid32 getresuid getresuid32 getrlimit getrusage getsid getsockname getsockopt gettid
gettimeofday getuid getuid32 getxattr getxattrat inotify_add_watch inotify_init inotify_init1 inotify_rm_watch
io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup io_submit ioctl ioprio_get ioprio_set
ipc kill landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown lchown32 lgetxattr link linkat listen
listxattr listxattrat llistxattr lremovexattr lseek lsetxattr lstat lstat64 madvise map_shadow_stack membarrier
memfd_create memfd_secret mincore mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap mmap2 mprotect mq_getsetattr
mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink mremap mseal msgctl
msgget msgrcv msgsnd msync munlock munlockall munmap name_to_handle_at nanosleep newfstatat open openat openat2 pause
pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll ppoll_time64 prctl pread64 preadv
preadv2 prlimit64 process_mrelease process_vm_readv process_vm_writev pselect6 pselect6_time64 ptrace pwrite64 pwritev
pwritev2 read readahead readlink readlinkat readv recv recvfrom recvmmsg recvmmsg_time64 recvmsg remap_file_pages
removexattr removexattrat rename renameat renameat2 restart_syscall rmdir rseq rt_sigaction rt_sigpending
rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo
sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler
sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam sched_setscheduler
sched_yield seccomp select semctl semget semop semtimedop semtimedop_time64 send sendfile sendfile64 sendmmsg sendmsg
sendto set_robust_list set_thread_area set_tid_address setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32
setgroups setgroups32 setitimer setpgid setpriority setregid setregid32 setresgid setresgid32 setresuid setresuid32
setreuid setreuid32 setrlimit setsid setsockopt setuid setuid32 setxattr setxattrat shmat shmctl shmdt shmget shutdown
sigaltstack signalfd signalfd4 sigprocmask sigreturn socketcall socketpair splice stat stat64 statfs statfs64 statx
symlink symlinkat sync sync_file_range syncfs sysinfo tee tgkill time timer_create timer_delete timer_getoverrun
timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64
timerfd_settime timerfd_settime64 times tkill truncate truncate64 ugetrlimit umask uname unlink unlinkat utime
utimensat utimensat_time64 utimes vfork vmsplice wait4 waitid waitpid write writev
"""
ALLOWED_BY_ARCHITECTURE = {
    "x86_64": "arch_prctl modify_ldt uretprobe",
    "i386": "modify_ldt",
    "aarch64": "arm_fadvise64_64 arm_sync_file_range breakpoint cacheflush set_tls sync_file_range2",
    "arm": "arm_fadvise64_64 arm_sync_file_range breakpoint cacheflush set_tls sync_file_range2",
}
ALLOWED_BY_CAPABILITY = {
    "CAP_BPF": "bpf",
    "CAP_DAC_READ_SEARCH": "open_by_handle_at",
    "CAP_PERFMON": "perf_event_open",
    "CAP_SYSLOG": "syslog",
    "CAP_SYS_ADMIN": "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount mount_setattr"
    " move_mount open_tree open_tree_attr perf_event_open quotactl quotactl_fd setdomainname sethostname setns syslog"
    " umount umount2 unshare",
    "CAP_SYS_BOOT": "reboot",
    "CAP_SYS_CHROOT": "chroot",
    "CAP_SYS_MODULE": "delete_module finit_module init_module",
    "CAP_SYS_NICE": "get_mempolicy mbind set_mempolicy set_mempolicy_home_node",
    "CAP_SYS_PACCT": "acct",
    "CAP_SYS_PTRACE": "kcmp pidfd_getfd process_madvise",
    "CAP_SYS_RAWIO": "ioperm iopl",
    "CAP_SYS_TIME": "clock_settime clock_settime64 settimeofday stime",
    "CAP_SYS_TTY_CONFIG": "vhangup",
}
PERSONALITIES = (0x0, 0x0008, 0x20000, 0x20008, 0xFFFFFFFF)  # linux, UNAME26 and combinations; -1: ask
NAMESPACE_FLAGS = 0x7E020000  # every CLONE_NEW* that clone(2) takes
AF_VSOCK = 40

# linux/bpf_common.h, linux/seccomp.h
LD_W_ABS, JMP_JA, JEQ, JGE, JSET, RET = 0x20, 0x05, 0x15, 0x35, 0x45, 0x06
ALLOW, ERRNO, KILL_PROCESS = 0x7FFF0000, 0x00050000, 0x80000000
EPERM, ENOSYS = 1, 38
NUMBER_AT, ARCH_AT, ARGUMENT0_LOW_AT, ARGUMENT0_HIGH_AT = 0, 4, 16, 20
X32_BIT = 0x40000000

Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, constant


def return_action(action: int) -> list[Instruction]:
    return [(RET, 0, 0, action)]


DENY, MISSING = ERRNO | EPERM, ERRNO | ENOSYS


def _clone() -> list[Instruction]:
    """Allowed without any namespace flag (the kernel looks at the low word alone)."""
    return [
        (LD_W_ABS, 0, 0, ARGUMENT0_LOW_AT),
        (JSET, 0, 1, NAMESPACE_FLAGS),
        (RET, 0, 0, DENY),
        (RET, 0, 0, ALLOW),
    ]


def _socket() -> list[Instruction]:
    """Every family but vsock, which reaches the hypervisor; the kernel takes an int, the low word."""
    return [
        (LD_W_ABS, 0, 0, ARGUMENT0_LOW_AT),
        (JEQ, 0, 1, AF_VSOCK),
        (RET, 0, 0, DENY),
        (RET, 0, 0, ALLOW),
    ]


def _personality() -> list[Instruction]:
    """The harmless ones; the high word has to be 0."""
    checks: list[Instruction] = [(LD_W_ABS, 0, 0, ARGUMENT0_HIGH_AT), (JEQ, 1, 0, 0), (RET, 0, 0, DENY)]
    checks.append((LD_W_ABS, 0, 0, ARGUMENT0_LOW_AT))
    for position, value in enumerate(PERSONALITIES):
        checks.append((JEQ, len(PERSONALITIES) - position, 0, value))
    return [*checks, (RET, 0, 0, DENY), (RET, 0, 0, ALLOW)]


def _actions(
    architecture: str, capabilities: frozenset[str], asked: Mapping[str, list[Instruction]]
) -> dict[int, list[Instruction]]:
    """What is done for each number that the table knows."""
    table = numbers(architecture)
    actions = {number: return_action(DENY) for number in table.values()}
    allowed = f"{ALLOWED} {ALLOWED_BY_ARCHITECTURE[architecture]}".split()
    for capability in capabilities:
        allowed += ALLOWED_BY_CAPABILITY.get(capability, "").split()
    if "CAP_SYS_ADMIN" not in capabilities:
        actions[table["clone"]] = _clone()
        # clone3's flags are in memory, where a filter cannot look: libraries fall back to clone on ENOSYS.
        actions[table["clone3"]] = return_action(MISSING)
    if "socket" in table:
        actions[table["socket"]] = _socket()
    actions[table["personality"]] = _personality()
    allow = return_action(ALLOW)
    for name in allowed:
        number = table.get(name)
        if number is not None:
            actions[number] = asked.get(name, allow)
    return actions


def to_ranges(
    actions: dict[int, list[Instruction]], gap: list[Instruction], above: list[Instruction]
) -> list[tuple[int, list[Instruction]]]:
    """(first number, action) for ranges with one action, in order from 0; `gap` for numbers that have none,
    `above` behind the last one."""
    ranges: list[tuple[int, list[Instruction]]] = []
    expected = 0
    for number in sorted(actions):
        if number != expected and (not ranges or ranges[-1][1] != gap):
            ranges.append((expected, gap))
        if not ranges or ranges[-1][1] != actions[number]:
            ranges.append((number, actions[number]))
        expected = number + 1
    if ranges[-1][1] != above:
        ranges.append((expected, above))
    return ranges


def search(ranges: list[tuple[int, list[Instruction]]]) -> list[Instruction]:
    """The binary search as a tree of jumps; the number is in the accumulator."""
    if len(ranges) == 1:
        return ranges[0][1]
    middle = len(ranges) // 2
    below, above = search(ranges[:middle]), search(ranges[middle:])
    boundary = ranges[middle][0]
    if len(below) <= 255:
        return [(JGE, len(below), 0, boundary), *below, *above]
    # A conditional jump reaches 255 instructions, an unconditional one as many as needed.
    return [(JGE, 0, 1, boundary), (JMP_JA, 0, 0, len(below)), *below, *above]


def assemble(
    architecture: str, capabilities: frozenset[str], asked: Mapping[str, list[Instruction]] | None = None
) -> list[Instruction]:
    """The program for a kernel of `architecture` (a key of SUPPORTED), as instructions.

    `asked`: what is done in place of allowing these calls, in programs of the kernel's own ABI.
    """
    program: list[Instruction] = [(LD_W_ABS, 0, 0, ARCH_AT)]
    # Unknown numbers are ENOSYS, which is what tells a library that its new call is not there.
    missing = return_action(MISSING)
    for abi in SUPPORTED[architecture]:
        own = asked if asked is not None and abi == architecture else {}
        block: list[Instruction] = [(LD_W_ABS, 0, 0, NUMBER_AT)]
        if abi == "x86_64":
            # The x32 ABI shares x86_64's arch value and marks its numbers; most kernels do not have it.
            block += [(JGE, 0, 1, X32_BIT), (RET, 0, 0, MISSING)]
        block += search(to_ranges(_actions(abi, capabilities, own), missing, missing))
        program += [(JEQ, 1, 0, AUDIT_ARCH[abi]), (JMP_JA, 0, 0, len(block)), *block]
    return [*program, (RET, 0, 0, KILL_PROCESS)]


@cache
def compile_default(architecture: str, capabilities: frozenset[str]) -> bytes:
    """Docker's default profile for a capability set, as struct sock_filter[] (8 bytes an instruction).

    `architecture` is uname's machine; full capability names. Empty for an architecture whose table we
    do not have: the caller says so to the user.
    """
    if architecture not in SUPPORTED:
        return b""
    return encode(assemble(architecture, capabilities))


def encode(program: list[Instruction]) -> bytes:
    """struct sock_filter[], 8 bytes an instruction."""
    return b"".join(
        code.to_bytes(2, "little") + bytes((true, false)) + constant.to_bytes(4, "little")
        for code, true, false, constant in program
    )
