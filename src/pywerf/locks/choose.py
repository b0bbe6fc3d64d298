"""From the value of `--synchronization` to a locker."""

from __future__ import annotations

import os

from pywerf.errors import UsageError
from pywerf.locks.base import LeaseService, Locker, WaitNotice

__all__ = ["LOCAL", "is_server", "open_locker"]

LOCAL = ":local"


def is_server(address: str) -> bool:
    """Whether an address is that of a lock server, whose clients have an id each (its last path component)."""
    return address.startswith(("http://", "https://"))


def open_locker(address: str, space: str, *, home: str, on_wait: WaitNotice | None = None) -> Locker:
    """The locker of an address: `:local` (or empty), http(s)://…, redis://….

    `space` keeps apart what has nothing to do with each other (projects, repositories): on a server it is the client's
    id. `home` is the folder that local locks are kept below. Nothing is contacted yet. Raises UsageError.
    """
    if address in ("", LOCAL):
        from pywerf.locks.files import FileLocker

        return FileLocker(os.path.join(home, "locks"), space, on_wait)
    service: LeaseService
    if is_server(address):
        from pywerf.locks.http import HttpLeases, check_address

        service = HttpLeases(f"{check_address(address)}/{space}")
    elif address.startswith(("redis://", "rediss://", "unix://")):
        from pywerf.locks.redis import RedisLeases

        service = RedisLeases(address, space)
    elif address.startswith("kubernetes://"):
        raise UsageError(
            f"--synchronization {address}: locks in a Kubernetes cluster are not supported",
            hint="run `werf synchronization` there and give its http:// address, or use redis://HOST:PORT/DB",
        )
    else:
        raise UsageError(
            f"--synchronization {address!r} is no lock service",
            hint=f"write {LOCAL}, http://HOST:PORT, https://HOST or redis://HOST:PORT/DB",
        )
    from pywerf.locks.leases import LeaseLocker

    return LeaseLocker(service, on_wait)
