"""Processes below this one: finds them, and kills those that a container has left to it.

Standard library only: `pywerf.linux.plain_child` uses it.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False  # the typing module would double the start-up time
if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["descendants", "end_strays"]

SIGKILL = 9


def descendants(ancestor: int, spare: Collection[int] = ()) -> list[int]:
    """All processes below one, parents first, but `spare` and what is below those (proc(5), /proc/PID/stat)."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            fd = os.open(f"/proc/{name}/stat", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            continue  # it has ended
        try:
            # `pid (name) state ppid …`; a name may hold anything
            fields = os.read(fd, 4096).rpartition(b")")[2].split()
        except OSError:
            continue
        finally:
            os.close(fd)
        if len(fields) > 1:
            children.setdefault(int(fields[1]), []).append(int(name))
    found = [ancestor]
    for pid in found:  # grows while it is walked
        found += [child for child in children.get(pid, ()) if child not in spare]
    return found[1:]


def end_strays(spare: Collection[int]) -> None:
    """Kill and reap all that is below this process and lives in another root directory, until there is nothing left.

    For a process to which orphans come (PR_SET_CHILD_SUBREAPER, prctl(2)). What its own helpers are has its root
    directory; whose root cannot be seen (another user's, or a set-user-ID program) is none of them.
    """
    refused: set[int] = set()
    while True:
        strays = [pid for pid in descendants(os.getpid(), spare) if pid not in refused and _is_stray(pid)]
        if not strays:
            return
        for pid in strays:
            try:
                os.kill(pid, SIGKILL)
            except ProcessLookupError:
                continue
            except PermissionError:
                refused.add(pid)
        for pid in strays:  # parents first: whoever loses its parent is a child of this process by now
            try:
                os.waitpid(pid, os.WNOHANG if pid in refused else 0)
            except ChildProcessError:
                continue


def _is_stray(pid: int) -> bool:
    try:
        root = os.stat(f"/proc/{pid}/root")
    except PermissionError:
        return True
    except OSError:
        return False  # it has ended
    return not os.path.samestat(root, os.stat("/"))
