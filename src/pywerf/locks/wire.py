"""The lock server's requests and answers: JSON over POST, as werf's `synchronization` server speaks it.

    /new-client-id              {}                                     -> clientID
    /health                     {"echo": TEXT}                         -> echo, status
    /CLIENT/locker/acquire      {"lockName": …, "opts": {"shared", "acquirerId"}} -> lockHandle
    /CLIENT/locker/renew-lease  {"lockHandle": {"uuid", "lockName"}}
    /CLIENT/locker/release      {"lockHandle": …}

Every answer has `err`: null or empty, or a text; two of these texts have a meaning.
"""

from __future__ import annotations

import msgspec

from pywerf.locks.base import Handle

__all__ = ["NO_LEASE", "SHOULD_WAIT", "AcquireOptions", "AcquireRequest", "Answer", "HandleRequest", "HealthRequest"]

SHOULD_WAIT = "should wait"
NO_LEASE = "no existing lock lease found"


class AcquireOptions(msgspec.Struct, frozen=True, rename={"acquirer": "acquirerId"}):
    """How a lock is wanted."""

    shared: bool = False
    acquirer: str = ""


class AcquireRequest(msgspec.Struct, frozen=True, rename={"name": "lockName", "options": "opts"}):
    """Ask for a lock."""

    name: str
    options: AcquireOptions = AcquireOptions()


class HandleRequest(msgspec.Struct, frozen=True, rename={"handle": "lockHandle"}):
    """Renew or release a lease."""

    handle: Handle


class HealthRequest(msgspec.Struct, frozen=True):
    """Ask whether the server is there."""

    echo: str = ""


class Answer(
    msgspec.Struct,
    frozen=True,
    omit_defaults=True,
    rename={"error": "err", "handle": "lockHandle", "client": "clientID"},
):
    """Any answer: what does not belong to it is left out."""

    error: str | None
    handle: Handle | None = None
    client: str = ""
    echo: str = ""
    status: str = ""
