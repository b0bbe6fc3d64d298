"""What a lock service is: the Protocols of lockers, and of the services that lend locks for a time."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

import msgspec

__all__ = ["LEASE_SECONDS", "Handle", "Hold", "LeaseService", "Locker", "WaitNotice"]

LEASE_SECONDS = 10.0  # a holder that has not been heard of for so long has lost its lock

WaitNotice = Callable[[str], None]
"""Called once, with the lock's name, when somebody has to wait for it."""


class Hold(Protocol):
    """A lock that is held."""

    def check(self) -> None:
        """Raise LockLost when it is not ours any more: asked before what must not happen twice."""


class Locker(Protocol):
    """A way to keep others out. Locks are not reentrant; threads are others, too."""

    def lock(self, name: str, *, shared: bool = False) -> AbstractContextManager[Hold]:
        """Wait for the lock `name` and hold it. Any number may hold a `shared` one, as long as nobody holds it alone.

        Raises LockError when the service cannot be reached. A holder that dies loses it: at once with files, with a
        service when its lease ends.
        """

    def close(self) -> None:
        """Let go of connections. Idempotent; nothing may be held."""


class Handle(msgspec.Struct, frozen=True):
    """One holder's claim on a lock, as JSON has it on the wire."""

    uuid: str
    lock_name: str = msgspec.field(name="lockName")


class LeaseService(Protocol):
    """Lends locks for LEASE_SECONDS at a time. Every method may be called from several threads."""

    def acquire(self, name: str, shared: bool, acquirer: str) -> Handle | None:
        """A lease on the lock, or None while others hold it. `acquirer`, unique for each wait, keeps its place:
        a shared request does not overtake one that has been waiting to have the lock alone. Raises LockError.
        """

    def renew(self, handle: Handle) -> None:
        """Begin the lease's time anew. Raises LockLost when it has ended before."""

    def release(self, handle: Handle) -> None:
        """End a lease. Raises LockLost when it had ended before."""

    def close(self) -> None:
        """Let go of connections. Idempotent."""
