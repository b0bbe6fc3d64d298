"""Who the processes of a container are, where the kernel has one id: getuid(2), setuid(2), execve(2) and their kin.

What a process is hangs on the process itself, so that the kernel passes it on to threads and children: a number of
ours (`linux.identity`) in its timer slack, some nanoseconds above what it has anyway. The kernel knows all of them as
the one user, with the container's capabilities.
"""

from __future__ import annotations

import errno
import os
import stat
import struct

from pywerf.linux import owners
from pywerf.linux.identity import (
    KEEP,
    Identities,
    Identity,
    after_exec,
    set_file_system,
    set_one,
    set_three,
    set_two,
)
from pywerf.linux.nodes import Nodes
from pywerf.linux.supervisor import CONTINUE
from pywerf.linux.task import AT_FDCWD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pywerf.linux.identity import SetIds
    from pywerf.linux.supervisor import Handler

    Arguments = tuple[int, ...]

__all__ = ["Personas", "refused"]

CAP_SETGID, CAP_SETUID = 6, 7
_IDS = struct.Struct("=I")
_NGROUPS_MAX = 65536


def refused() -> OSError:
    """What the kernel says to those who may not."""
    return OSError(errno.EPERM, os.strerror(errno.EPERM))


class Personas(Nodes):
    """The calls that ask or change who a process is."""

    def __init__(self, listener: int, settings: dict[str, Any]) -> None:
        super().__init__(listener, settings)
        self.capabilities: int = settings["capabilities"]
        groups = tuple(settings["groups"] or ())
        self.identities = Identities(Identity.of(settings["uid"], settings["gid"], groups))
        self.slack = -1

    def handlers(self) -> dict[int, Handler]:
        """By the calls' numbers."""
        calls: dict[str, Handler] = {
            name: getattr(self, name)
            for name in (
                *("setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setfsuid", "setfsgid"),
                *("setgroups", "getgroups", "getresuid", "getresgid", "execve", "execveat", "prctl"),
            )
        }
        calls |= {
            "getuid": self.getter(lambda who: who.uids[0]),
            "geteuid": self.getter(lambda who: who.uids[1]),
            "getgid": self.getter(lambda who: who.gids[0]),
            "getegid": self.getter(lambda who: who.gids[1]),
        }
        return super().handlers() | self.by_number(calls)

    def who(self, pid: int) -> Identity:
        """The identity of a process."""
        if self.identities.one:
            return self.identities.get(0)
        return self.identities.get(self.tasks.slack(pid) - self.slack)

    def become(self, ident: int, pid: int, old: Identity, identity: Identity) -> None:
        """Give a process another identity; threads and children that it starts have it too."""
        if old.key == identity.key:
            return
        if self.slack < 0:
            self.slack = self.tasks.slack(pid)
        number = self.identities.number(identity)
        self.check(ident)
        self.tasks.set_slack(pid, self.slack + number)

    def prctl(self, _ident: int, _pid: int, _arguments: Arguments) -> int | None:
        """PR_SET_TIMERSLACK, the only one that is asked about: it succeeds, and changes nothing."""
        return 0

    def getter(self, get: Callable[[Identity], int]) -> Handler:
        """getuid(2) and its kin."""

        def handler(_ident: int, pid: int, _arguments: Arguments) -> int | None:
            return get(self.who(pid))

        return handler

    def getresuid(self, _ident: int, pid: int, arguments: Arguments) -> int | None:
        return self._write_ids(pid, arguments, self.who(pid).uids)

    def getresgid(self, _ident: int, pid: int, arguments: Arguments) -> int | None:
        return self._write_ids(pid, arguments, self.who(pid).gids)

    def _write_ids(self, pid: int, arguments: Arguments, ids: SetIds) -> int:
        for address, value in zip(arguments[:3], ids[:3], strict=True):
            self.tasks.memory.write(pid, address, _IDS.pack(value))
        return 0

    def getgroups(self, _ident: int, pid: int, arguments: Arguments) -> int | None:
        groups = self.who(pid).groups
        size = arguments[0] & 0xFFFFFFFF
        if size:
            if size < len(groups):
                raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
            self.tasks.memory.write_all(pid, arguments[1], struct.pack(f"={len(groups)}I", *groups))
        return len(groups)

    def setgroups(self, ident: int, pid: int, arguments: Arguments) -> int | None:
        size = arguments[0] & 0xFFFFFFFF
        if size > _NGROUPS_MAX:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        data = self.tasks.memory.read_all(pid, arguments[1], 4 * size)
        who = self.who(pid)
        if not self.may(who, CAP_SETGID):
            raise refused()
        self.become(ident, pid, who, who.with_groups(struct.unpack(f"={size}I", data)))
        return 0

    def may(self, who: Identity, capability: int) -> bool:
        """Whether a process may do what needs a capability, as far as the container has it."""
        return who.privileged and bool(self.capabilities >> capability & 1)

    def setuid(self, ident: int, pid: int, arguments: Arguments) -> int | None:
        who = self.who(pid)
        new = set_one(who.uids, arguments[0] & KEEP, self.may(who, CAP_SETUID))
        self.become(ident, pid, who, who.with_uids(new))
        return 0

    def setgid(self, ident: int, pid: int, arguments: Arguments) -> int | None:
        who = self.who(pid)
        new = set_one(who.gids, arguments[0] & KEEP, self.may(who, CAP_SETGID))
        self.become(ident, pid, who, who.with_gids(new))
        return 0

    def setreuid(self, ident: int, pid: int, arguments: Arguments) -> int | None:
        who = self.who(pid)
        real, effective = (value & KEEP for value in arguments[:2])
        self.become(ident, pid, who, who.with_uids(set_two(who.uids, real, effective, self.may(who, CAP_SETUID))))
        return 0

    def setregid(self, ident: int, pid: int, arguments: Arguments) -> int | None:
        who = self.who(pid)
        real, effective = (value & KEEP for value in arguments[:2])
        self.become(ident, pid, who, who.with_gids(set_two(who.gids, real, effective, self.may(who, CAP_SETGID))))
        return 0

    def setresuid(self, ident: int, pid: int, arguments: Arguments) -> int | None:
        who = self.who(pid)
        real, effective, saved = (value & KEEP for value in arguments[:3])
        new = set_three(who.uids, (real, effective, saved), self.may(who, CAP_SETUID))
        self.become(ident, pid, who, who.with_uids(new))
        return 0

    def setresgid(self, ident: int, pid: int, arguments: Arguments) -> int | None:
        who = self.who(pid)
        real, effective, saved = (value & KEEP for value in arguments[:3])
        new = set_three(who.gids, (real, effective, saved), self.may(who, CAP_SETGID))
        self.become(ident, pid, who, who.with_gids(new))
        return 0

    def setfsuid(self, ident: int, pid: int, arguments: Arguments) -> int | None:
        who = self.who(pid)
        new = set_file_system(who.uids, arguments[0] & KEEP, self.may(who, CAP_SETUID))
        self.become(ident, pid, who, who.with_uids(new))
        return who.uids[3]

    def setfsgid(self, ident: int, pid: int, arguments: Arguments) -> int | None:
        who = self.who(pid)
        new = set_file_system(who.gids, arguments[0] & KEEP, self.may(who, CAP_SETGID))
        self.become(ident, pid, who, who.with_gids(new))
        return who.gids[3]

    def execve(self, ident: int, pid: int, arguments: Arguments) -> int | None:
        """Set-ID bits count for those that are not root already."""
        return self._execute(ident, pid, AT_FDCWD, arguments[0])

    def execveat(self, ident: int, pid: int, arguments: Arguments) -> int | None:
        return self._execute(ident, pid, arguments[0], arguments[1])

    def _execute(self, ident: int, pid: int, dirfd: int, address: int) -> int | None:
        if self.identities.only_root:
            return CONTINUE
        who = self.who(pid)
        try:
            place, _ = self.tasks.place(pid, dirfd, self.tasks.memory.string(pid, address))
            status = os.stat(place)
        except OSError:
            return CONTINUE
        mode = status.st_mode
        new = after_exec(who, 0, (0, 0))
        if stat.S_ISREG(mode) and mode & 0o6000 and mode & 0o111:
            new = after_exec(who, mode, owners.owner_of(place, status, follow=True) or (0, 0))
        self.become(ident, pid, who, new)
        return CONTINUE
