"""Who a container's process is: USER strings against the image's /etc/passwd and /etc/group. Pure.

The rules are Docker's (moby/sys user.GetExecUser): a name wins over a number that is a name, numbers
need no entry, an explicit group replaces the supplementary groups.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from pywerf.errors import IsolationError

__all__ = ["User", "find_group", "find_user", "resolve_user"]

MAX_ID = (1 << 31) - 1


class User(msgspec.Struct, frozen=True):
    """`groups` are the supplementary ones, the primary group among them, sorted as found; `name` may be empty."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str = "/"
    name: str = ""


def resolve_user(user: str, passwd: bytes, group: bytes) -> User:
    """`user`, `uid`, `user:group`, `uid:gid` (empty: uid 0) looked up in the two files' contents.

    Raises IsolationError for a name without an entry, and for an id out of range.
    """
    who, _, group_name = user.partition(":")
    entry = _match_user(who or "0", passwd)
    if entry is not None:
        name, uid, gid, home = entry
    elif not who:
        name, uid, gid, home = "", 0, 0, "/"
    else:
        name, uid, gid, home = "", find_user(who, passwd), 0, "/"
    if group_name:
        gid = find_group(group_name, group)
        return User(uid, gid, (gid,), home, name)
    groups = [gid]
    if name:
        groups += [number for _, number, members in _groups(group) if name in members and number not in groups]
    return User(uid, gid, tuple(groups), home, name)


def find_user(user: str, passwd: bytes) -> int:
    """The uid of a name or a number. Raises IsolationError."""
    entry = _match_user(user, passwd)
    if entry is not None:
        return entry[1]
    return _number(user, f"unable to find user {user}: no matching entries in passwd file")


def find_group(name: str, group: bytes) -> int:
    """The gid of a name or a number. Raises IsolationError."""
    number = _integer(name)
    for entry_name, gid, _ in _groups(group):
        if entry_name == name or gid == number:
            return gid
    return _number(name, f"unable to find group {name}: no matching entries in group file")


def _number(text: str, not_found: str) -> int:
    number = _integer(text)
    if number is None:
        raise IsolationError(not_found, hint="create it in an earlier step, or use a number")
    if not 0 <= number <= MAX_ID:
        raise IsolationError(f"{text}: uids and gids must be in range 0-{MAX_ID}")
    return number


def _integer(text: str) -> int | None:
    digits = text.removeprefix("-").removeprefix("+")
    return int(text) if digits.isascii() and digits.isdigit() and len(digits) <= 20 else None


def _match_user(user: str, passwd: bytes) -> tuple[str, int, int, str] | None:
    """The first entry whose name or uid is `user`."""
    number = _integer(user)
    for fields in _lines(passwd):
        # name:password:uid:gid:comment:home:shell (passwd(5))
        if len(fields) < 4:
            continue
        uid, gid = _integer(fields[2]), _integer(fields[3])
        if uid is None or gid is None or not (0 <= uid <= 0xFFFFFFFE and 0 <= gid <= 0xFFFFFFFE):
            continue
        if fields[0] == user or uid == number:
            return fields[0], uid, gid, (fields[5] if len(fields) > 5 and fields[5] else "/")
    return None


def _groups(group: bytes) -> Iterator[tuple[str, int, list[str]]]:
    for fields in _lines(group):
        # name:password:gid:member,member (group(5))
        gid = _integer(fields[2]) if len(fields) > 2 else None
        if gid is not None and 0 <= gid <= 0xFFFFFFFE:
            members = fields[3].split(",") if len(fields) > 3 else []
            yield fields[0], gid, [member.strip() for member in members if member.strip()]


def _lines(data: bytes) -> Iterator[list[str]]:
    for line in data.decode("utf-8", "surrogateescape").split("\n"):
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            yield stripped.split(":")
