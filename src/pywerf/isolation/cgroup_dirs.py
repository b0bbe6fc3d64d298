"""Makes and removes containers' cgroups; what to make was decided by `pywerf.isolation.cgroups`.

A cgroup is a folder `pywerf-chroot-PID-NUMBER`, locked (flock(2)) as long as its container lives: what a killed process
left is found by its free lock, and removed by the next one that makes a cgroup in the same place.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterable
from typing import NoReturn

from pywerf.errors import IsolationError
from pywerf.isolation.cgroups import FLAGS, Hierarchy, Place, find_hierarchies, place_cgroups
from pywerf.isolation.spec import Resources
from pywerf.linux.facts import read_text

__all__ = ["Cgroups", "ContainerCgroups"]

PREFIX = "pywerf-chroot-"
# What says that another parent may do: it has processes, it is not ours, it cannot give the controller.
ELSEWHERE = (errno.EBUSY, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.EOPNOTSUPP)
ROUNDS, PAUSE = 100, 0.01  # how often, and how long in between, a cgroup whose processes just ended is tried


class ContainerCgroups:
    """The cgroups of one container; `joined` are the files that a process writes 0 into to join them."""

    def __init__(self) -> None:
        self._folders: list[tuple[str, int]] = []  # with the descriptor that holds the lock
        self._parents: list[str] = []

    @property
    def joined(self) -> tuple[str, ...]:
        """Their cgroup.procs."""
        return tuple(f"{folder}/cgroup.procs" for folder, _ in self._folders)

    def add(self, folder: str) -> None:
        """Make the folder and lock it. Raises OSError."""
        import fcntl

        os.mkdir(folder, 0o755)
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._folders.append((folder, fd))
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def add_parent(self, folder: str) -> None:
        """Remember a parent that was made, too."""
        self._parents.append(folder)

    def take_back(self) -> None:
        """Remove the last one, which did not work out."""
        folder, fd = self._folders.pop()
        os.rmdir(folder)
        os.close(fd)

    def remove(self) -> None:
        """Remove all of them, and the parents that were made for them when nobody else is in there. Idempotent."""
        while self._folders:
            folder, fd = self._folders.pop()
            _remove(folder)
            os.close(fd)
        while self._parents:
            try:
                os.rmdir(self._parents.pop())
            except OSError:
                return  # somebody else's cgroups are in it


class Cgroups:
    """Makes cgroups for the containers of this process.

    `note` is told of each, for somebody who outlives this process to remove it.
    """

    def __init__(self, note: Callable[[str], None], hierarchies: tuple[Hierarchy, ...] | None = None) -> None:
        self._note = note
        self._hierarchies = hierarchies
        self._count = 0
        self._lock = threading.Lock()
        self._swept: set[str] = set()

    def make(self, resources: Resources, parent: str) -> ContainerCgroups:
        """The cgroups of a container with these limits, below `parent` or where they can be.

        Raises IsolationError, with nothing left behind.
        """
        with self._lock:
            if self._hierarchies is None:
                self._hierarchies = present_hierarchies()
            self._count += 1
            name = f"{PREFIX}{os.getpid()}-{self._count}"
            made = ContainerCgroups()
            try:
                for place in place_cgroups(resources, parent, self._hierarchies):
                    self._make_one(made, place, name)
            except BaseException:
                made.remove()
                raise
            return made

    def _make_one(self, made: ContainerCgroups, place: Place, name: str) -> None:
        reasons = []
        for parent in place.parents:
            try:
                if place.fixed:
                    _make_parents(made, place.hierarchy.mount, parent)
                if place.hierarchy.version == 2:
                    _pass_on(place.hierarchy.mount, parent, place.controllers)
                self._sweep(parent)
                folder = f"{parent}/{name}"
                made.add(folder)
            except OSError as error:
                if error.errno not in ELSEWHERE:
                    _refuse(place, f"{parent}: {error.strerror}", error)
                reasons.append(f"{parent}: {error.strerror}")
                continue
            self._note(folder)
            _write_settings(place, folder)
            return
        _refuse(place, "; ".join(reasons), None)

    def _sweep(self, parent: str) -> None:
        """Remove what killed processes left there."""
        import fcntl

        if parent in self._swept:
            return
        self._swept.add(parent)
        for entry in os.listdir(parent):
            if not entry.startswith(PREFIX):
                continue
            folder = f"{parent}/{entry}"
            try:
                fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            except OSError:
                continue  # it is gone, or it is another user's
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.rmdir(folder)
            except OSError:
                continue  # somebody lives in it
            finally:
                os.close(fd)


def present_hierarchies() -> tuple[Hierarchy, ...]:
    """Those of this machine, as this process sees them."""
    mountinfo = read_text("/proc/self/mountinfo")
    own, init = read_text("/proc/self/cgroup"), read_text("/proc/1/cgroup")
    found = find_hierarchies(mountinfo, own, init, ())
    v2 = next((hierarchy.mount for hierarchy in found if hierarchy.version == 2), "")
    if not v2:
        return found
    return find_hierarchies(mountinfo, own, init, tuple(read_text(f"{v2}/cgroup.controllers").split()))


def _make_parents(made: ContainerCgroups, mount: str, parent: str) -> None:
    missing = []
    while parent != mount and not os.path.isdir(parent):
        missing.append(parent)
        parent = os.path.dirname(parent)
    for folder in reversed(missing):
        os.mkdir(folder, 0o755)
        made.add_parent(folder)


def _pass_on(mount: str, folder: str, controllers: Iterable[str]) -> None:
    """v2: let the cgroups below `folder` have the controllers. Raises OSError where it has processes, or may not.

    The kernel refuses those that have processes for some controllers alone: cpu and cpuset make of them the root of a
    threaded subtree, which no process can join (cgroups(7)). The root of all, which has no type, may have both.
    """
    if read_text(f"{folder}/cgroup.type") and read_text(f"{folder}/cgroup.procs").strip():
        raise OSError(errno.EBUSY, "it has processes", folder)
    wanted = [name for name in controllers if name not in read_text(f"{folder}/cgroup.subtree_control").split()]
    if not wanted:
        return
    if folder != mount and not set(wanted) <= set(read_text(f"{folder}/cgroup.controllers").split()):
        _pass_on(mount, os.path.dirname(folder), wanted)
    _write(f"{folder}/cgroup.subtree_control", " ".join(f"+{name}" for name in wanted))


def _write_settings(place: Place, folder: str) -> None:
    if place.hierarchy.version == 1 and "cpuset" in place.hierarchy.controllers:
        _inherit_cpuset(place, folder)
    for setting in place.settings:
        try:
            _write(f"{folder}/{setting.file}", setting.value)
        except OSError as error:
            if setting.optional and error.errno in (errno.ENOENT, errno.EACCES, errno.EOPNOTSUPP):
                continue
            why = error.strerror or str(error)
            if error.errno in (errno.ENOENT, errno.EACCES) and not os.path.exists(f"{folder}/{setting.file}"):
                why = f"this kernel has no {setting.file}"
            _refuse(place, f"cannot write {setting.value} to {folder}/{setting.file}: {why}", error, setting.controller)


def _inherit_cpuset(place: Place, folder: str) -> None:
    """v1: a new cpuset is empty: nothing can join it, and nothing in it can have more."""
    parent = os.path.dirname(folder)
    for file in ("cpuset.cpus", "cpuset.mems"):
        if read_text(f"{folder}/{file}").strip():
            continue
        if not read_text(f"{parent}/{file}").strip() and parent != place.hierarchy.mount:
            _inherit_cpuset(place, parent)
        try:
            _write(f"{folder}/{file}", read_text(f"{parent}/{file}").strip())
        except OSError as error:
            _refuse(place, f"{folder}/{file}: {error.strerror}", error)


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def _refuse(place: Place, why: str, error: OSError | None, controller: str = "") -> NoReturn:
    flags = ", ".join(FLAGS[name] for name in ((controller,) if controller else place.controllers or ("",)))
    hint = None
    if error is None or error.errno in ELSEWHERE:
        hint = (
            "limits need a cgroup to work in: root has one, a container with a writable /sys/fs/cgroup, and an "
            "ordinary user whom systemd gives one: systemd-run --user --scope -p Delegate=yes werf …"
        )
    raise IsolationError(
        f"{flags}: no cgroup can be made: {why}" if error is None else f"{flags}: {why}", hint=hint
    ) from error


def _remove(folder: str) -> None:
    """rmdir(2); processes that are still there (of `--pid host`) are killed."""
    import time

    for _ in range(ROUNDS):
        try:
            os.rmdir(folder)
        except FileNotFoundError:
            return
        except OSError:
            for pid in read_text(f"{folder}/cgroup.procs").split():
                try:
                    os.kill(int(pid), 9)
                except OSError:
                    continue  # it ended meanwhile
            time.sleep(PAUSE)
        else:
            return
