"""The records of the build cache."""

from __future__ import annotations

import time

import msgspec

from pywerf.store.cache import CacheRecord
from pywerf.store.store import Store


def _record(key: str, definition: str = "d", created: float = 100.0, last_used: float = 100.0) -> CacheRecord:
    return CacheRecord(key, definition, f"shape-{key}", b'{"a":1}', b"{}", created, last_used, 10)


def test_put_and_get(store: Store) -> None:
    record = _record("k")
    store.cache.put(record)
    assert store.cache.get("k") == record
    assert store.cache.get("no") is None
    assert store.cache.has_definition("d")
    assert not store.cache.has_definition("e")
    assert store.cache.has_shape("shape-k")
    assert not store.cache.has_shape("k")
    replaced = msgspec.structs.replace(record, result=b"[]", definition="e")
    store.cache.put(replaced)
    assert store.cache.get("k") == replaced
    assert not store.cache.has_definition("d")


def test_candidates_are_the_newest_first(store: Store) -> None:
    for number in range(5):
        store.cache.put(_record(str(number), created=float(number)))
    store.cache.put(_record("other", "e", created=99.0))
    assert [record.key for record in store.cache.candidates("d", 3)] == ["4", "3", "2"]


def test_touch_writes_only_what_is_old(store: Store) -> None:
    now = time.time()
    store.cache.put(_record("old", last_used=now - 7200))
    store.cache.put(_record("young", last_used=now - 60))
    store.cache.touch(["old", "young", "no", *(f"k{number}" for number in range(1200))])
    old, young = store.cache.get("old"), store.cache.get("young")
    assert old is not None
    assert young is not None
    assert old.last_used >= now
    assert young.last_used == now - 60


def test_prune_and_remove(store: Store) -> None:
    now = time.time()
    for age in range(5):
        store.cache.put(_record(str(age), last_used=now - age * 1000))
    assert store.cache.prune(unused_for=3500) == 1
    assert store.cache.prune(keep=2) == 2
    assert [record.key for record in store.cache.list()] == ["1", "0"]
    assert store.cache.remove(["0", "no"]) == 1
    assert store.cache.prune() == 0
