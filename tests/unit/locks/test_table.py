"""The table of leases: the contract, time, and what a restart keeps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pywerf.errors import LockError, LockLost
from pywerf.locks.table import LeaseTable
from support.lease_contract import LeaseContract


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def table(clock: Clock) -> Iterator[LeaseTable]:
    made = LeaseTable(":memory:", clock=clock)
    yield made
    made.close()


class TestContract(LeaseContract):
    @pytest.fixture
    def service(self, table: LeaseTable) -> LeaseTable:
        return table


def test_lease_ends_by_itself(table: LeaseTable, clock: Clock) -> None:
    first = table.acquire("a", False, "one")
    assert first is not None
    clock.now += 9
    assert table.acquire("a", False, "two") is None
    table.renew(first)
    clock.now += 9
    assert table.acquire("a", False, "two") is None
    clock.now += 2
    assert table.acquire("a", False, "two") is not None
    with pytest.raises(LockLost):
        table.renew(first)


def test_who_stops_asking_loses_the_place(table: LeaseTable, clock: Clock) -> None:
    first = table.acquire("a", False, "one")
    assert first is not None
    assert table.acquire("a", False, "gone") is None
    for _ in range(3):
        clock.now += 4
        table.renew(first)
        assert table.acquire("a", False, "patient") is None
    table.release(first)
    assert table.acquire("a", False, "patient") is not None


def test_spaces_have_locks_of_their_own(table: LeaseTable) -> None:
    other = table.of("other")
    handle = table.acquire("a", False, "one")
    assert handle is not None
    assert other.acquire("a", False, "one") is not None
    with pytest.raises(LockLost):
        table.of("third").release(handle)


def test_leases_survive_a_restart(tmp_path: Path) -> None:
    path = str(tmp_path / "folder" / "locks.sqlite")
    table = LeaseTable(path)
    handle = table.acquire("a", False, "one")
    assert handle is not None
    table.close()
    again = LeaseTable(path)
    assert again.acquire("a", False, "two") is None
    again.renew(handle)
    again.close()


def test_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LockError, match="cannot open the database"):
        LeaseTable(str(tmp_path / "file" / "locks.sqlite"))
