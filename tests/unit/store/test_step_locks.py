"""Locks on steps: one holder, gone with it, the folder stays empty."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pywerf.store.step_locks import StepLocks


@pytest.fixture
def locks(tmp_path: Path) -> StepLocks:
    return StepLocks(str(tmp_path))


def test_one_holder_at_a_time(locks: StepLocks, tmp_path: Path) -> None:
    first = locks.acquire("key-a")
    assert first is not None
    assert locks.acquire("key-a") is None
    other = locks.acquire("key-b")
    assert other is not None
    first.release()
    first.release()
    again = locks.acquire("key-a")
    assert again is not None
    again.release()
    other.release()
    assert os.listdir(tmp_path / "steps") == []


def test_notes_are_found_while_the_lock_is_held(locks: StepLocks) -> None:
    assert not locks.is_noted("definition")
    lock = locks.acquire("key-a", "definition")
    assert lock is not None
    assert locks.is_noted("definition")
    assert not locks.is_noted("defin")
    assert not locks.is_noted("another")
    lock.release()
    assert not locks.is_noted("definition")


def test_a_killed_process_leaves_nothing_that_counts(locks: StepLocks, tmp_path: Path) -> None:
    code = (
        "import sys, os; from pywerf.store.step_locks import StepLocks\n"
        "lock = StepLocks(sys.argv[1]).acquire('key-a', 'definition'); print('held', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    assert locks.acquire("key-a") is None
    assert locks.is_noted("definition")
    process.kill()
    process.communicate()
    assert os.listdir(tmp_path / "steps") == ["key-a"]
    assert not locks.is_noted("definition")
    assert os.listdir(tmp_path / "steps") == []
    lock = locks.acquire("key-a")
    assert lock is not None
    lock.release()


def test_many_threads_exclude_each_other(locks: StepLocks) -> None:
    inside = 0
    most = 0
    guard = threading.Lock()

    def work() -> None:
        nonlocal inside, most
        for _ in range(30):
            while (lock := locks.acquire("gate-x")) is None:
                pass
            with guard:
                inside += 1
                most = max(most, inside)
            with guard:
                inside -= 1
            lock.release()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
