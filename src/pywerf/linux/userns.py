"""User namespaces for ordinary users: subordinate ids, and the way of this process into a namespace of its own.

The namespace is made by a child, which tries there what containers need and then ends; only when all of that
works does this process follow, with setns(2). It must not have any other thread then.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from pywerf.linux.probes import Attempt, make_mounts_of_a_container

if TYPE_CHECKING:
    import socket

__all__ = [
    "IdRange",
    "Subids",
    "enter_with_one_id",
    "entered",
    "find_tool",
    "id_map",
    "make_and_enter",
    "parse_subids",
    "read_subids",
]

TOOLS = ("newuidmap", "newgidmap")
_TOOL_FOLDERS = ("/usr/bin", "/bin", "/usr/local/bin", "/usr/sbin", "/sbin")
_THREADS_END = 2.0  # seconds

_entered = False


class IdRange(msgspec.Struct, frozen=True):
    """`count` ids: from `inside` on in the namespace, from `outside` on outside of it (user_namespaces(7))."""

    inside: int
    outside: int
    count: int


class Subids(msgspec.Struct, frozen=True):
    """The subordinate ids of a user: (first, count) of /etc/subuid and /etc/subgid, in the order of the files."""

    user: str
    uid: int
    gid: int
    uids: tuple[tuple[int, int], ...] = ()
    gids: tuple[tuple[int, int], ...] = ()

    @property
    def usable(self) -> bool:
        """Whether there are ranges of both kinds."""
        return bool(self.uids and self.gids)


def parse_subids(text: str, user: str, uid: int) -> tuple[tuple[int, int], ...]:
    """The ranges (first, count) of a user in a subuid(5) file, where a user stands by name or by number.

    Lines that are malformed are no ranges, as newuidmap(1) has it.
    """
    found = []
    for line in text.splitlines():
        fields = line.strip().split(":")
        if len(fields) != 3 or fields[0] not in (user, str(uid)) or not fields[0]:
            continue
        if all(field.isascii() and field.isdigit() for field in fields[1:]) and int(fields[2]):
            found.append((int(fields[1]), int(fields[2])))
    return tuple(found)


def read_subids() -> Subids:
    """Those of the user that runs this process. Files that are not there have no ranges."""
    uid, gid = os.getuid(), os.getgid()
    user = _user_name(uid)
    return Subids(user, uid, gid, *(parse_subids(_read(f"/etc/{name}"), user, uid) for name in ("subuid", "subgid")))


def id_map(own: int, ranges: Sequence[tuple[int, int]]) -> tuple[IdRange, ...]:
    """Root of the namespace is the user; subordinate ids follow from 1 on, one range after the other."""
    ids = [IdRange(0, own, 1)]
    inside = 1
    for first, count in ranges:
        ids.append(IdRange(inside, first, count))
        inside += count
    return tuple(ids)


def find_tool(name: str) -> str | None:
    """A program of PATH, or of the folders where the system keeps its own."""
    for folder in (*os.environ.get("PATH", "").split(":"), *_TOOL_FOLDERS):
        path = f"{folder}/{name}"
        if folder.startswith("/") and os.access(path, os.X_OK) and os.path.isfile(path):
            return path
    return None


def entered() -> bool:
    """Whether this process has entered a namespace by a function of this module: it was not started as root."""
    return _entered


def make_and_enter(subids: Subids, *, enter: bool = True, trial: bool = True) -> Attempt:
    """Make a user namespace with all of the user's subordinate ids, try containers in it (`trial`), and enter it.

    Afterwards this process is root in it: everything works as for root, on the mapped ids. On failure, and without
    `enter`, nothing has changed. unshare(2), user_namespaces(7), newuidmap(1).
    """
    import socket

    global _entered
    mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with mine:
        try:
            child = os.fork()
        except OSError as error:
            theirs.close()
            return Attempt.failed("start a process", error)
        if child == 0:
            mine.close()
            _live_in_namespace(theirs)
        theirs.close()
        try:
            attempt = _receive(mine)
            if attempt.works:
                attempt = _map_ids(child, subids)
            if attempt.works and trial:
                mine.send(b"go")
                attempt = _receive(mine)
            if attempt.works and enter:
                attempt = _join(child)
                _entered = attempt.works
        finally:
            mine.close()  # lets the child end
            os.waitpid(child, 0)
    return attempt


def enter_with_one_id(*, trial: bool = True) -> Attempt:
    """Enter a user namespace in which this process's ids alone are mapped, once containers were tried in one (`trial`).

    Afterwards this process is root in it, and other owners are emulated (`linux.owners`).
    """
    from pywerf.linux import owners
    from pywerf.linux.probes import make_namespace_with_one_id, namespaces_with_one_id

    global _entered
    attempt = namespaces_with_one_id() if trial else Attempt("make a user namespace")
    if attempt.works:
        _wait_for_threads()
        attempt = make_namespace_with_one_id()
        _entered = attempt.works
        owners.forget()
    return attempt


def _live_in_namespace(parent: socket.socket) -> None:
    """The child: a namespace, then, once its ids are mapped, what a container needs. Never returns."""
    import msgspec.json

    from pywerf.linux import syscalls as sys

    try:
        try:
            sys.unshare(sys.CLONE_NEWUSER)
            attempt = Attempt("make a user namespace")
        except OSError as error:
            attempt = Attempt.failed("make a user namespace", error)
        parent.send(msgspec.json.encode(attempt))
        if attempt.works and parent.recv(8):
            attempt = make_mounts_of_a_container()
            if not attempt.works:
                attempt = Attempt(f"{attempt.what} in a user namespace", attempt.errno, attempt.text)
            parent.send(msgspec.json.encode(attempt))
            parent.recv(8)
    finally:
        os._exit(0)


def _receive(child: socket.socket) -> Attempt:
    import msgspec.json

    data = child.recv(1 << 12)
    if not data:
        return Attempt("probe a user namespace", 0, "the probe ended by itself")
    return msgspec.json.decode(data, type=Attempt)


def _map_ids(child: int, subids: Subids) -> Attempt:
    """newuidmap(1) and newgidmap(1): they are set-user-ID, and check the ranges."""
    maps = (id_map(subids.uid, subids.uids), id_map(subids.gid, subids.gids))
    running: list[tuple[str, int, int]] = []
    attempt = Attempt("map subordinate ids")
    try:
        for name, ranges in zip(TOOLS, maps, strict=True):
            path = find_tool(name)
            if path is None:
                return Attempt("map subordinate ids", 0, f"{name} is not installed")
            said = os.memfd_create(name)
            argv = [path, str(child), *(str(word) for one in ranges for word in (one.inside, one.outside, one.count))]
            actions = [(os.POSIX_SPAWN_DUP2, said, 1), (os.POSIX_SPAWN_DUP2, said, 2)]
            try:
                running.append((name, os.posix_spawn(path, argv, {}, file_actions=actions), said))
            except OSError as error:
                os.close(said)
                return Attempt.failed(f"start {path}", error)
    finally:
        for name, pid, said in running:
            _, status = os.waitpid(pid, 0)
            text = os.pread(said, 1 << 12, 0).decode(errors="replace").strip()
            os.close(said)
            if status and attempt.works:
                attempt = Attempt("map subordinate ids", 0, text or f"{name} ended with status {status}")
    return attempt


def _join(child: int) -> Attempt:
    from pywerf.linux import syscalls as sys

    _wait_for_threads()
    try:
        fd = os.open(f"/proc/{child}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
        try:
            sys.setns(fd, sys.CLONE_NEWUSER)
        finally:
            os.close(fd)
    except OSError as error:
        return Attempt.failed("enter the user namespace", error)
    return Attempt("enter the user namespace")


def _wait_for_threads() -> None:
    """Wait until threads that have ended are gone for the kernel as well."""
    import time

    end = time.monotonic() + _THREADS_END
    while len(os.listdir("/proc/self/task")) > 1 and time.monotonic() < end:
        time.sleep(0.0005)


def _user_name(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return ""
