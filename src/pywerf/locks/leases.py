"""A Locker over any lease service: waits for its turn, and keeps what it holds renewed by a thread."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from pywerf.errors import LockError, LockLost
from pywerf.locks.base import LEASE_SECONDS, Handle, Hold, LeaseService, WaitNotice

__all__ = ["LeaseLocker"]

RENEW_SECONDS = 3.0
ASK_SECONDS = 2.0
ATTEMPTS = 10  # in a row, when the service answers with errors


class LeaseLocker:
    """Locks of a LeaseService. `ask` and `renew` are the seconds between two requests of their kind."""

    def __init__(
        self,
        service: LeaseService,
        on_wait: WaitNotice | None = None,
        *,
        ask: float = ASK_SECONDS,
        renew: float = RENEW_SECONDS,
        attempts: int = ATTEMPTS,
    ) -> None:
        self._service = service
        self._on_wait = on_wait
        self._ask = ask
        self._renew = renew
        self._attempts = attempts

    @contextmanager
    def lock(self, name: str, *, shared: bool = False) -> Iterator[Hold]:
        handle = self._wait(name, shared)
        held = _Renewed(self._service, handle, self._renew)
        try:
            yield held
        finally:
            held.stop()
            try:
                self._service.release(handle)
            except LockError:
                pass  # it ends by itself; what depended on it has asked check()

    def close(self) -> None:
        """Close the service's connections."""
        self._service.close()

    def _wait(self, name: str, shared: bool) -> Handle:
        acquirer = os.urandom(16).hex()
        failures = 0
        told = False
        while True:
            try:
                handle = self._service.acquire(name, shared, acquirer)
                failures = 0
            except LockError:
                failures += 1
                if failures >= self._attempts:
                    raise
                handle = None
            if handle is not None:
                return handle
            if not told and not failures and self._on_wait is not None:
                self._on_wait(name)
                told = True
            time.sleep(self._ask)


class _Renewed:
    """A held lease with the thread that renews it until `stop`."""

    def __init__(self, service: LeaseService, handle: Handle, every: float) -> None:
        self._service = service
        self._handle = handle
        self._every = every
        self._ended = threading.Event()
        self._lost: LockLost | None = None
        self._renewed = time.monotonic()
        self._thread = threading.Thread(target=self._run, name=f"lease-{handle.lock_name}", daemon=True)
        self._thread.start()

    def check(self) -> None:
        if self._lost is None and time.monotonic() - self._renewed > LEASE_SECONDS:
            self._lost = LockLost(self._handle.lock_name)
        if self._lost is not None:
            raise self._lost

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(self._every):
            asked = time.monotonic()  # the service's clock cannot have begun earlier
            try:
                self._service.renew(self._handle)
            except LockLost as error:
                self._lost = error
                return
            except LockError:
                continue  # the service may come back before the lease ends
            self._renewed = asked
