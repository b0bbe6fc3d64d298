"""What every lease service has to do: one suite, run against the table, the server and Redis."""

from __future__ import annotations

import threading

import pytest

from pywerf.errors import LockLost
from pywerf.locks.base import Handle, Hold, LeaseService
from pywerf.locks.leases import LeaseLocker


class LeaseContract:
    """Subclasses give the fixture `service`; two names of locks never meet in one test."""

    def test_one_holder_alone(self, service: LeaseService) -> None:
        first = service.acquire("a", False, "one")
        assert first is not None
        assert service.acquire("a", False, "two") is None
        assert service.acquire("a", True, "three") is None
        service.release(first)
        assert service.acquire("a", False, "two") is not None

    def test_other_locks_are_free(self, service: LeaseService) -> None:
        assert service.acquire("a", False, "one") is not None
        assert service.acquire("b", False, "one") is not None

    def test_shared_holders(self, service: LeaseService) -> None:
        holders = [service.acquire("a", True, str(number)) for number in range(3)]
        assert all(holders)
        assert service.acquire("a", False, "alone") is None
        for holder in holders:
            assert holder is not None
            service.release(holder)
        assert service.acquire("a", False, "alone") is not None

    def test_who_waits_longest_is_next(self, service: LeaseService) -> None:
        first = service.acquire("a", False, "one")
        assert first is not None
        assert service.acquire("a", False, "two") is None
        assert service.acquire("a", False, "three") is None
        service.release(first)
        assert service.acquire("a", False, "three") is None
        assert service.acquire("a", False, "two") is not None

    def test_shared_ones_do_not_overtake(self, service: LeaseService) -> None:
        first = service.acquire("a", True, "one")
        assert first is not None
        assert service.acquire("a", False, "alone") is None
        assert service.acquire("a", True, "two") is None
        service.release(first)
        assert service.acquire("a", True, "two") is None
        assert service.acquire("a", False, "alone") is not None

    def test_renewed_and_released(self, service: LeaseService) -> None:
        handle = service.acquire("a", False, "one")
        assert handle is not None
        service.renew(handle)
        service.release(handle)
        with pytest.raises(LockLost):
            service.renew(handle)
        with pytest.raises(LockLost):
            service.release(handle)

    def test_unknown_lease(self, service: LeaseService) -> None:
        with pytest.raises(LockLost, match="'a' was lost"):
            service.renew(Handle("0" * 32, "a"))

    def test_threads_take_turns(self, service: LeaseService) -> None:
        locker = LeaseLocker(service, ask=0.01)
        inside: list[int] = []
        most: list[int] = []

        def work() -> None:
            for _ in range(5):
                with locker.lock("turns") as held:
                    inside.append(1)
                    most.append(len(inside))
                    check(held)
                    inside.pop()

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert most == [1] * 20


def check(held: Hold) -> None:
    """A holder that was not away for long still holds."""
    held.check()
