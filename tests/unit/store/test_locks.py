"""Locks and leases, between threads here; between processes in the integration tests."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from pywerf.store.locks import Locks, Session, clean_sessions, oldest_session
from pywerf.store.store import Store


def test_a_lock_excludes_other_threads(store: Store) -> None:
    inside = 0
    most = 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(20):
            with store.lock("name") as held:
                assert held
                inside += 1
                most = max(most, inside)
                time.sleep(0.0005)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


def test_a_lock_that_is_held_is_not_waited_for(store: Store) -> None:
    with store.lock("name"):
        with store.lock("name", wait=False) as held:
            assert not held
        with store.lock("other", wait=False) as held:
            assert held
    with store.lock("name", wait=False) as held:
        assert held


@pytest.mark.parametrize("name", ["a/b", "../x", "", ".", "é", "x" * 300, "sha256:" + "a" * 64, "with space"])
def test_any_text_is_a_name(store: Store, name: str) -> None:
    with store.lock(name):
        with store.lock(name, wait=False) as held:
            assert not held
        with store.lock(name + "2", wait=False) as held:
            assert held
    assert all("/" not in entry and len(entry) < 250 for entry in os.listdir(f"{store.root}/locks"))


def test_different_texts_have_different_file_names() -> None:
    texts = ["a/b", "a%b", "a b", "", ".a", "a", "x" * 201, "x" * 202]
    assert len({Locks.file_name(text) for text in texts}) == len(texts)


def test_leases_are_shared_and_seen(store: Store) -> None:
    with store.lease("snapshot", "one"), store.lease("snapshot", "one"):
        with store.unleased("snapshot", "one") as free:
            assert not free
        with store.unleased("snapshot", "two") as free:
            assert free
    with store.unleased("snapshot", "one") as free:
        assert free
    assert os.listdir(f"{store.root}/leases") == []


def test_a_lease_waits_for_who_removes(store: Store) -> None:
    taken = threading.Event()

    def take() -> None:
        with store.lease("snapshot", "one"):
            taken.set()

    with store.unleased("snapshot", "one") as free:
        assert free
        thread = threading.Thread(target=take)
        thread.start()
        assert not taken.wait(0.05)
    assert taken.wait(10)
    thread.join()


def test_a_session_of_a_living_process_stays(store: Store) -> None:
    with store.tmp_dir() as path:
        Path(path, "file").write_text("x")
        with Store.open(store.root) as other, other.tmp_dir() as second:
            assert second != path
            assert Path(path, "file").exists()
        assert os.listdir(path) == ["file"]
        assert Path(store.scratch_dir) == Path(path).parent
    assert not Path(path).exists()


def test_what_dead_processes_left_is_removed(store: Store) -> None:
    tmp = Path(store.root, "tmp")
    (tmp / "1700000000000000000-1-1/dir-1/deep").mkdir(parents=True)
    (tmp / ".gone-1700000000000000000-2-2").mkdir()
    (tmp / "foreign").write_text("x")
    (tmp / "old").write_text("x")
    os.utime(tmp / "old", (1, 1))
    store.close()
    clean_sessions(str(tmp))
    assert os.listdir(tmp) == ["foreign"]


def test_the_oldest_session_is_the_oldest_living_one(store: Store) -> None:
    store.close()
    tmp = Path(store.root, "tmp")
    (tmp / "1700000000000000000-1-1").mkdir()
    before = time.time()
    assert oldest_session(str(tmp)) >= before
    with store.tmp_dir():
        began = oldest_session(str(tmp))
        assert before <= began <= time.time()
        time.sleep(0.01)
        with Store.open(store.root) as other, other.tmp_dir():
            assert oldest_session(str(tmp)) == began


def test_closing_removes_the_session(store: Store) -> None:
    store.blobs.put(b"x")
    assert os.listdir(f"{store.root}/tmp") != []
    store.close()
    store.close()
    assert os.listdir(f"{store.root}/tmp") == []


def test_sessions_are_made_while_others_clean(tmp_path: Path) -> None:
    """A cleaner may take a session's directory before its maker holds it: the maker makes another."""
    made = threading.Event()
    failures: list[OSError] = []

    def clean() -> None:
        while not made.is_set():
            try:
                clean_sessions(str(tmp_path))
            except OSError as error:  # said by the assertion below
                failures.append(error)
                return

    cleaners = [threading.Thread(target=clean) for _ in range(3)]
    for cleaner in cleaners:
        cleaner.start()
    try:
        for _ in range(200):
            session = Session(str(tmp_path))
            assert os.path.isdir(session.path())
            session.close()
    finally:
        made.set()
        for cleaner in cleaners:
            cleaner.join()
    assert not failures
