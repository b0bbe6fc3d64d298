"""The first opening after another boot."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pywerf.oci import media_types
from pywerf.oci.descriptor import Descriptor
from pywerf.oci.digest import Digest
from pywerf.store import recovery
from pywerf.store.cache import CacheRecord
from pywerf.store.layers import LayerRecord
from pywerf.store.store import Store


def _damage(store: Store, digest: Digest) -> None:
    path = Path(store.blobs.path(digest))
    times = path.stat().st_mtime
    path.write_bytes(bytes(path.stat().st_size))
    os.utime(path, (times, times))


def _boot_again(store: Store) -> Store:
    store.close()
    with Store.open(store.root) as between, between.database.write() as connection:
        connection.execute("UPDATE meta SET value = 'another' WHERE key = 'boot'")
    return Store.open(store.root)


def test_damaged_blobs_of_the_last_minutes_are_dropped(store: Store, sample: Callable[..., object]) -> None:
    image = sample(b"layer")
    store.images.put(image.manifest, image.media_type, image.config, ["kept:1"])  # type: ignore[attr-defined]
    broken = sample(b"broken")
    store.images.put(broken.manifest, broken.media_type, broken.config, ["broken:1"])  # type: ignore[attr-defined]
    layer = store.blobs.put(b"layer blob")
    store.layers.put(LayerRecord(layer, None, layer, 10, Descriptor(media_types.OCI_LAYER, layer, 10), "snap"))
    _damage(store, layer)
    _damage(store, broken.id)  # type: ignore[attr-defined]
    with _boot_again(store) as again:
        record = again.layers.get(layer)
        assert record is not None
        assert record.blob is None
        assert again.blobs.has(layer) is None
        assert [item.names for item in again.images.list()] == [("kept:1",)]
        index = json.loads(Path(again.oci_dir, "index.json").read_bytes())
        assert len(index["manifests"]) == 1


def test_old_blobs_are_not_read(store: Store) -> None:
    old, young = store.blobs.put(b"old"), store.blobs.put(b"young")
    _damage(store, old)
    now = time.time()
    os.utime(store.blobs.path(old), (now - 2 * recovery.WINDOW, now - 2 * recovery.WINDOW))
    store.memo.put("k", "v", b"")
    with _boot_again(store) as again:
        again.layers.list()
        assert again.blobs.has(old) == 3
        assert again.blobs.has(young) == 5


def test_what_stands_on_young_snapshots_is_done_again(store: Store) -> None:
    now = time.time()
    a, b = store.blobs.put(b"a"), Digest.of(b"b")
    store.layers.put(LayerRecord(a, None, a, 1, Descriptor(media_types.OCI_LAYER, a, 1), "with-blob"))
    store.layers.put(LayerRecord(b, None, b, 1, None, "alone"))
    old = LayerRecord(Digest.of(b"c"), None, Digest.of(b"c"), 1, Descriptor(media_types.OCI_LAYER, a, 1), "old", 5.0)
    store.layers.put(old)
    store.cache.put(CacheRecord("young", "d", "s", b"{}", b"{}", now, now, 0))
    store.cache.put(CacheRecord("old", "d", "s", b"{}", b"{}", now - 1000, now, 0))
    with _boot_again(store) as again:
        assert [record.key for record in again.cache.list()] == ["old"]
        assert {str(record.snapshot) for record in again.layers.list()} == {"None", "alone", "old"}


def test_the_same_boot_looks_at_nothing(store: Store) -> None:
    digest = store.blobs.put(b"x")
    store.memo.put("k", "v", b"")
    _damage(store, digest)
    store.close()
    with Store.open(store.root) as again:
        again.layers.list()
        assert again.blobs.has(digest) == 1


def test_only_the_first_opening_looks(store: Store) -> None:
    store.memo.put("k", "v", b"")
    with _boot_again(store) as again:
        again.layers.list()
        digest = again.blobs.put(b"x")
        _damage(again, digest)
    with Store.open(store.root) as third:
        third.layers.list()
        assert third.blobs.has(digest) == 1
        assert third.database.row("SELECT value FROM meta WHERE key = 'boot'") == (recovery.boot_id(),)


def test_blobs_of_other_algorithms_are_checked(store: Store) -> None:
    import hashlib

    right = Digest("sha512", hashlib.sha512(b"right").hexdigest())
    wrong = Digest("sha512", hashlib.sha512(b"wrong").hexdigest())
    for digest in (right, wrong):
        with store.blobs.writer() as writer:
            writer.write(b"right")
            writer.commit(digest)
    store.memo.put("k", "v", b"")
    damaged = recovery.recover(store.database.connection(), store.blobs, time.time())
    assert damaged == [wrong]


def test_boot_id_is_the_kernels() -> None:
    if not os.path.exists("/proc/sys/kernel/random/boot_id"):
        pytest.fail("this test needs /proc: mount it")
    assert len(recovery.boot_id()) == 36
