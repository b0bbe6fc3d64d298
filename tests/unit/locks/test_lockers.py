"""Lockers: files, and leases that are renewed or lost."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from pywerf.errors import LockError, LockLost
from pywerf.locks.base import Handle
from pywerf.locks.files import FileLocker
from pywerf.locks.leases import LeaseLocker


class Scripted:
    """A service that does what its test says: `answers` of acquire in turn, then of renew."""

    def __init__(self, acquire: list[Handle | Exception | None], renew: Exception | None = None) -> None:
        self.answers = acquire
        self.failure = renew
        self.renewed = threading.Event()
        self.released: list[Handle] = []
        self.acquirers: set[str] = set()

    def acquire(self, name: str, shared: bool, acquirer: str) -> Handle | None:
        self.acquirers.add(acquirer)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def renew(self, handle: Handle) -> None:
        self.renewed.set()
        if self.failure is not None:
            raise self.failure

    def release(self, handle: Handle) -> None:
        self.released.append(handle)

    def close(self) -> None:
        """Nothing is open."""


HANDLE = Handle("1", "a")


def test_waits_with_one_acquirer_and_tells_once() -> None:
    told: list[str] = []
    service = Scripted([None, None, HANDLE])
    with LeaseLocker(service, told.append, ask=0.001).lock("a") as held:
        held.check()
    assert (told, len(service.acquirers), service.released) == (["a"], 1, [HANDLE])


def test_errors_are_forgiven_while_they_are_few() -> None:
    service = Scripted([LockError("away"), LockError("away"), HANDLE])
    with LeaseLocker(service, ask=0.001, attempts=3).lock("a"):
        pass
    away = LeaseLocker(Scripted([LockError("away")] * 2), ask=0, attempts=2)
    with pytest.raises(LockError, match="away"), away.lock("a"):
        pytest.fail("it was not locked")


def test_lost_lease_is_told() -> None:
    service = Scripted([HANDLE], LockLost("a"))
    with LeaseLocker(service, renew=0.001).lock("a") as held:
        assert service.renewed.wait(10)
        with pytest.raises(LockLost):  # noqa: PT012  the loss is seen a moment after the answer
            for _ in range(10_000):
                held.check()
                time.sleep(0.001)


def test_service_that_is_away_for_a_moment_loses_nothing() -> None:
    service = Scripted([HANDLE], LockError("away"))
    with LeaseLocker(service, renew=0.001).lock("a") as held:
        assert service.renewed.wait(10)
        held.check()


def test_error_inside_releases() -> None:
    service = Scripted([HANDLE])
    with pytest.raises(ZeroDivisionError), LeaseLocker(service).lock("a"):
        raise ZeroDivisionError
    assert service.released == [HANDLE]


def test_files_keep_others_out(tmp_path: Path) -> None:
    told: list[str] = []
    waiting = threading.Event()

    def notice(name: str) -> None:
        told.append(name)
        waiting.set()

    order: list[str] = []
    first = FileLocker(str(tmp_path / "locks"), "project")
    second = FileLocker(str(tmp_path / "locks"), "project", notice)

    def other() -> None:
        with second.lock("a") as held:
            held.check()
            order.append("second")

    with first.lock("a"):
        thread = threading.Thread(target=other)
        thread.start()
        assert waiting.wait(10)
        order.append("first")
    thread.join()
    assert (order, told) == (["first", "second"], ["a"])


def test_files_of_other_names_projects_and_readers(tmp_path: Path) -> None:
    one = FileLocker(str(tmp_path), "one")
    with one.lock("a"), one.lock("b"), FileLocker(str(tmp_path), "two").lock("a"):
        pass
    with one.lock("c", shared=True), one.lock("c", shared=True):
        pass


def test_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LockError, match="cannot lock"), FileLocker(str(tmp_path / "file" / "x")).lock("a"):
        pytest.fail("it was not locked")
