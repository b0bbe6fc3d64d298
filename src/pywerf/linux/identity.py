"""Who a process believes itself to be, where the kernel has only one id. Pure: credentials(7), setresuid(2) …

The kernel's own rules: a process whose effective user is 0 may become anybody, others only what they are already.
Stands in the launcher too: standard library only.
"""

from __future__ import annotations

import errno
import os

__all__ = ["Identities", "Identity", "after_exec"]

KEEP = 0xFFFFFFFF  # -1
SetIds = tuple[int, int, int, int]  # real, effective, saved, file system


class Identity:
    """The ids of a process; a value."""

    __slots__ = ("gids", "groups", "uids")

    def __init__(self, uids: SetIds, gids: SetIds, groups: tuple[int, ...]) -> None:
        self.uids = uids
        self.gids = gids
        self.groups = tuple(sorted(groups))  # as the kernel keeps and tells them

    @classmethod
    def of(cls, uid: int, gid: int, groups: tuple[int, ...]) -> Identity:
        """One with one user and one group."""
        return cls((uid,) * 4, (gid,) * 4, groups)

    @property
    def key(self) -> tuple[SetIds, SetIds, tuple[int, ...]]:
        return self.uids, self.gids, self.groups

    @property
    def privileged(self) -> bool:
        """Whether it may do what root may."""
        return self.uids[1] == 0

    @property
    def files(self) -> tuple[int, int]:
        """Owner and group of what it makes."""
        return self.uids[3], self.gids[3]

    def with_uids(self, uids: SetIds) -> Identity:
        return Identity(uids, self.gids, self.groups)

    def with_gids(self, gids: SetIds) -> Identity:
        return Identity(self.uids, gids, self.groups)

    def with_groups(self, groups: tuple[int, ...]) -> Identity:
        """setgroups(2). EPERM."""
        if not self.privileged:
            raise _refused()
        return Identity(self.uids, self.gids, groups)

    def may_own(self, gid: int) -> bool:
        """Whether it is in a group."""
        return gid == self.gids[3] or gid in self.groups


def _refused() -> OSError:
    return OSError(errno.EPERM, os.strerror(errno.EPERM))


def set_one(ids: SetIds, new: int, privileged: bool) -> SetIds:
    """setuid(2), setgid(2)."""
    if new == KEEP:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    if privileged:
        return new, new, new, new
    if new not in (ids[0], ids[2]):
        raise _refused()
    return ids[0], new, ids[2], new


def set_two(ids: SetIds, real: int, effective: int, privileged: bool) -> SetIds:
    """setreuid(2), setregid(2)."""
    if not privileged and (real not in (KEEP, *ids[:2]) or effective not in (KEEP, *ids[:3])):
        raise _refused()
    new_real = ids[0] if real == KEEP else real
    new_effective = ids[1] if effective == KEEP else effective
    saved = ids[2]
    if real != KEEP or (effective != KEEP and new_effective != ids[0]):
        saved = new_effective
    return new_real, new_effective, saved, new_effective


def set_three(ids: SetIds, wanted: tuple[int, int, int], privileged: bool) -> SetIds:
    """setresuid(2), setresgid(2)."""
    if not privileged and any(new not in (KEEP, *ids[:3]) for new in wanted):
        raise _refused()
    real, effective, saved = (old if new == KEEP else new for old, new in zip(ids[:3], wanted, strict=True))
    return real, effective, saved, effective


def set_file_system(ids: SetIds, new: int, privileged: bool) -> SetIds:
    """setfsuid(2), setfsgid(2): what may not be is ignored."""
    return (*ids[:3], new) if new != KEEP and (privileged or new in ids) else ids


def after_exec(identity: Identity, mode: int, owner: tuple[int, int]) -> Identity:
    """execve(2) of a file: its set-ID bits make its owner the effective user, and that is the saved one."""
    uids, gids = identity.uids, identity.gids
    effective = owner[0] if mode & 0o4000 else uids[1]
    group = owner[1] if mode & 0o2010 == 0o2010 else gids[1]
    return Identity((uids[0], effective, effective, effective), (gids[0], group, group, group), identity.groups)


class Identities:
    """The identities of a container's processes, each with a small number; 0 is the first process's."""

    def __init__(self, first: Identity) -> None:
        self._known = [first]
        self._numbers = {first.key: 0}

    @property
    def only_root(self) -> bool:
        """Whether nobody has ever been anybody but root."""
        return len(self._known) == 1 and self._known[0].files == (0, 0) and self._known[0].privileged

    @property
    def one(self) -> bool:
        """Whether nobody has ever become anybody else."""
        return len(self._known) == 1

    def get(self, number: int) -> Identity:
        """The identity of a number; the first one's for a number that is none."""
        return self._known[number if 0 <= number < len(self._known) else 0]

    def number(self, identity: Identity) -> int:
        """Its number, a new one when it is new."""
        found = self._numbers.get(identity.key)
        if found is None:
            found = self._numbers[identity.key] = len(self._known)
            self._known.append(identity)
        return found
