"""`werf host cleanup`: keeps the store within limits of age, size, and of what its volume has room for.

What goes first: what nobody needs, then images without a name, then the results of steps that were used longest
ago. What an image with a name needs stays, whatever the limits say; and while another process works in the store,
everything does.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import msgspec

from pywerf.build.remove import collect, dangling
from pywerf.build.session import WORK
from pywerf.errors import UsageError
from pywerf.store.gc import GcReport

if TYPE_CHECKING:
    from pywerf.build.session import Session

__all__ = ["Cleanup", "VolumeLimit", "clean_up", "start_host_cleanup", "start_in_background", "volume_limit"]

_DANGLING_AGE = 15 * 60.0  # seconds: a younger image without a name may be about to get one
_ROUNDS = 6
_PAUSE = 3600.0  # seconds between two cleanups in the background
_MARK = "cleaned"


class VolumeLimit(msgspec.Struct, frozen=True):
    """How full the volume of the store may be, and how far below that a cleanup goes: percent, or bytes."""

    allowed: float
    margin: float
    unit: Literal["percent", "bytes"] = "percent"

    def over(self, path: str) -> int:
        """By how many bytes the volume of `path` is fuller than allowed; 0 when it is not."""
        used, total = _volume(path)
        return max(0, used - self._bytes(self.allowed, total))

    def excess(self, path: str) -> int:
        """How many bytes have to go until the volume is the margin below what is allowed."""
        used, total = _volume(path)
        return max(0, used - self._bytes(max(0.0, self.allowed - self.margin), total))

    def _bytes(self, value: float, total: int) -> int:
        return int(total * value / 100) if self.unit == "percent" else int(value)


class Cleanup(msgspec.Struct, frozen=True):
    """What a cleanup has removed, or would remove. `left`: by how many bytes the volume is fuller than allowed now.

    `busy`: another process works in the store, so nothing was removed.
    """

    images: tuple[str, ...]
    collected: GcReport
    left: int = 0
    busy: bool = False


def volume_limit(allowed: str, margin: str, flag: str = "--allowed-backend-storage-volume-usage") -> VolumeLimit:
    """The values of a flag and of its margin: percent or sizes, both of one kind. Raises UsageError."""
    values = _amount(flag, allowed), _amount(f"{flag}-margin", margin)
    if values[0][1] != values[1][1]:
        raise UsageError(f"{flag} {allowed} and its margin {margin}: one is in percent, the other one is not")
    return VolumeLimit(values[0][0], values[1][0], values[0][1])


def clean_up(
    session: Session,
    *,
    limit: VolumeLimit | None,
    keep_storage: int | None = None,
    max_age: float | None = None,
    dry_run: bool = False,
) -> Cleanup:
    """Remove what the limits want gone. `max_age` in seconds since the last use, `keep_storage` in bytes of the cache.

    Without any of them what nobody needs goes, and no more.
    """
    store = session.store
    # The folder of the snapshots is where the bytes are, should it be a mount of its own.
    where = store.snapshots_dir
    with store.unleased(*WORK) as free:
        if not free:
            return Cleanup((), GcReport(), 0 if limit is None else limit.over(where), busy=True)
    report = collect(session, cache_for=max_age, cache_bytes=keep_storage, dry_run=dry_run)
    images: list[str] = []
    if limit is None or not limit.over(where):
        return Cleanup((), report)
    with store.unleased(*WORK) as free:
        for record in dangling(session, time.time() - _DANGLING_AGE) if free else ():
            images.append(record.id.hex)
            if not dry_run:
                store.images.remove(record.id, force=True)
    if dry_run:
        report = collect(
            session, cache_for=max_age, cache_bytes=keep_storage, free_bytes=limit.excess(where), dry_run=True
        )
        return Cleanup(tuple(images), report, limit.over(where))
    # Layers do not tell what they take on this disk: free some, and look again.
    for _ in range(_ROUNDS):
        excess = limit.excess(where)
        if not excess:
            break
        more = collect(session, free_bytes=excess)
        report = _sum(report, more)
        if not more.bytes and not more.cache_records:
            break
    return Cleanup(tuple(images), report, limit.over(where))


def start_in_background(root: str, allowed: str, margin: str) -> bool:
    """After a build: start `werf host cleanup` as a process of its own, at most once an hour; whether it was started.

    A store that is younger than that has nothing to remove.
    """
    mark = f"{root}/{_MARK}"
    now = time.time()
    try:
        last = os.stat(mark).st_mtime
    except FileNotFoundError:
        last = os.stat(f"{root}/oci/oci-layout").st_mtime
    if now - last < _PAUSE:
        return False
    argv = ["--root", root, "--buildah-mode", "auto"]
    argv += ["--allowed-backend-storage-volume-usage", allowed]
    argv += ["--allowed-backend-storage-volume-usage-margin", margin]
    _start(mark, argv)
    return True


def start_host_cleanup(home: str, flags: Sequence[str]) -> bool:
    """After the build of a project: start `werf host cleanup` with these flags, at most once an hour; whether it was.

    Where no cleanup has ever been, nothing is old: the hour begins then.
    """
    mark = f"{home}/{_MARK}"
    try:
        if time.time() - os.stat(mark).st_mtime < _PAUSE:
            return False
    except FileNotFoundError:
        os.makedirs(home, exist_ok=True)
        with open(mark, "wb"):
            return False
    _start(mark, flags)
    return True


def _start(mark: str, flags: Sequence[str]) -> None:
    with open(mark, "wb"):
        os.utime(mark)
    argv = [sys.executable, "-m", "pywerf", "host", "cleanup", *flags]
    null = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1, 2)]
    # it is to outlive this process
    environ = {name: value for name, value in os.environ.items() if name != "WERF_ENABLE_PROCESS_EXTERMINATOR"}
    os.posix_spawn(sys.executable, argv, environ, file_actions=null, setsid=True)


def _volume(path: str) -> tuple[int, int]:
    """Used and all bytes of a volume (statvfs(3))."""
    facts = os.statvfs(path)
    return (facts.f_blocks - facts.f_bfree) * facts.f_frsize, facts.f_blocks * facts.f_frsize


def _amount(flag: str, text: str) -> tuple[float, Literal["percent", "bytes"]]:
    word = text.strip().removesuffix("%")
    try:
        percent = float(word)
    except ValueError:
        percent = -1.0
    if 0 <= percent <= 100 and word:
        return percent, "percent"
    size = _size(text.strip())
    if size is None:
        raise UsageError(f"{flag} {text}: neither a percentage nor a size", hint="write for instance 70, or 50GB")
    return size, "bytes"


def _size(text: str) -> float | None:
    """`50GB` (decimal), `100GiB` (powers of 1024)."""
    import re

    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([kKMGT])(i?)B", text)
    if match is None:
        return None
    base = 1024 if match[3] else 1000
    return float(match[1]) * float(base ** (" kMGT".index(match[2].replace("K", "k"))))


def _sum(one: GcReport, other: GcReport) -> GcReport:
    return GcReport(*[a + b for a, b in zip(msgspec.structs.astuple(one), msgspec.structs.astuple(other), strict=True)])
