"""Remembered answers."""

from __future__ import annotations

import time

from pywerf.store.store import Store


def _age(store: Store, key: str, seconds: float) -> None:
    with store.database.write() as connection:
        connection.execute("UPDATE memo SET last_used = ? WHERE key = ?", (time.time() - seconds, key))


def _last_used(store: Store, key: str) -> float:
    row = store.database.row("SELECT last_used FROM memo WHERE key = ?", (key,))
    assert row is not None
    return float(row[0])


def test_put_get_forget(store: Store) -> None:
    store.memo.put("kind", "a", b"\0value")
    store.memo.put("other", "a", b"2")
    assert store.memo.get("kind", "a") == b"\0value"
    assert store.memo.get("kind", "b") is None
    store.memo.put("kind", "a", b"")
    assert store.memo.get("kind", "a") == b""
    store.memo.forget("kind", "a")
    assert store.memo.get("kind", "a") is None
    store.memo.forget("other")
    assert store.memo.get("other", "a") is None


def test_a_use_is_marked_once_an_hour(store: Store) -> None:
    store.memo.put("kind", "a", b"1")
    _age(store, "a", 7200)
    store.memo.get("kind", "a")
    marked = _last_used(store, "a")
    assert marked > time.time() - 3600
    store.memo.get("kind", "a")
    assert _last_used(store, "a") == marked


def test_prune_by_age_and_size(store: Store) -> None:
    for number in range(4):
        store.memo.put("kind", str(number), bytes(100))
        _age(store, str(number), number * 1000)
    assert store.memo.prune(unused_for=2500) == 1
    assert store.memo.prune(keep_bytes=250) == 1
    assert [store.memo.get("kind", str(number)) is not None for number in range(4)] == [True, True, False, False]
    assert store.memo.prune() == 0


def test_keys_come_last_one_first(store: Store) -> None:
    for key in ("b", "a", "c"):
        store.memo.put("kind", key, b"")
    store.memo.put("other", "d", b"")
    assert store.memo.keys("kind") == ["c", "b", "a"]
    assert store.memo.keys("kind", 1) == ["c"]
    assert store.memo.has("kind", "a")
    assert not store.memo.has("kind", "d")


def test_one_kind_is_trimmed(store: Store) -> None:
    for number, key in enumerate("abcd"):
        store.memo.put("kind", key, b"12345")
        _age(store, key, 100 - number)
    store.memo.put("other", "a", b"12345")
    assert store.memo.trim("kind", keep_bytes=15) == 1
    assert store.memo.keys("kind") == ["d", "c", "b"]
    assert store.memo.trim("kind", keep=1) == 2
    assert store.memo.keys("kind") == ["d"]
    assert store.memo.keys("other") == ["a"]
    assert store.memo.trim("kind", keep=5, keep_bytes=100) == 0
