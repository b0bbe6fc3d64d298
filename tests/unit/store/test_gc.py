"""Collecting: what nothing needs goes, everything else stays."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pywerf.oci import media_types
from pywerf.oci.chain import chain_id
from pywerf.oci.descriptor import Descriptor
from pywerf.oci.digest import Digest
from pywerf.store import gc
from pywerf.store.cache import CacheRecord
from pywerf.store.layers import LayerRecord
from pywerf.store.store import Store

LONG_AGO = 1_000_000_000.0


def _age(store: Store) -> None:
    """Make everything look as if it had been written long ago, by a process that has ended."""
    store.close()
    for folder, _, files in os.walk(store.root):
        for path in (folder, *(f"{folder}/{name}" for name in files)):
            os.utime(path, (LONG_AGO, LONG_AGO), follow_symlinks=False)
    with store.database.write() as connection:
        connection.execute("UPDATE layers SET created = ?", (LONG_AGO,))


def _layer(store: Store, data: bytes, parent: Digest | None = None, *, blob: bool = True, snapshot: str = "") -> Digest:
    diff_id = Digest.of(data)
    descriptor = Descriptor(media_types.OCI_LAYER, store.blobs.put(data), len(data)) if blob else None
    chain = chain_id(parent, diff_id)
    store.layers.put(LayerRecord(chain, parent, diff_id, len(data), descriptor, snapshot or None))
    if snapshot:
        folder = Path(store.driver_dir("overlay"), snapshot, "fs")
        folder.mkdir(parents=True)
        (folder / "file").write_bytes(data)
    return chain


def _snapshots(store: Store) -> list[str]:
    return sorted(name for name in os.listdir(store.driver_dir("overlay")) if name not in ("l", "empty"))


def _cache(store: Store, key: str, result: object, last_used: float = LONG_AGO, size: int = 0) -> None:
    store.cache.put(CacheRecord(key, "d", "s", b"{}", json.dumps(result).encode(), LONG_AGO, last_used, size))


def _mount(store: Store, name: str, content: bytes, last_used: float = LONG_AGO) -> Path:
    folder = Path(store.cache_mounts.path(name))
    folder.mkdir()
    (folder / "file").write_bytes(content)
    store.memo.put("cache-mount", name, str(int(last_used)).encode())
    return folder


def test_an_empty_store(store: Store) -> None:
    assert gc.collect(store) == gc.GcReport()


def test_images_keep_their_blobs_layers_and_snapshots(
    store: Store, sample: Callable[..., object], index_of: Callable[..., bytes]
) -> None:
    image = sample(b"bottom", b"top")
    bottom = _layer(store, b"bottom", snapshot="s1")
    top = _layer(store, b"top", bottom, snapshot="s2")
    store.images.put(image.manifest, image.media_type, image.config)  # type: ignore[attr-defined]
    member = sample(b"member")
    for data in (member.manifest, member.config, b"member"):  # type: ignore[attr-defined]
        store.blobs.put(data)
    store.images.put_index(index_of(member), media_types.OCI_INDEX, ["multi:1"])
    lost = _layer(store, b"lost", bottom, snapshot="s3")
    store.blobs.put(b"orphan")
    _age(store)
    report = gc.collect(store)
    assert (report.blobs, report.layers, report.snapshots) == (2, 1, 1)
    assert report.bytes > 0
    assert _snapshots(store) == ["s1", "s2"]
    assert store.layers.get(top) is not None
    assert store.layers.get(lost) is None
    assert sum(1 for _ in store.blobs.list()) == 8
    store.images.remove(image.id)  # type: ignore[attr-defined]
    _age(store)
    report = gc.collect(store)
    assert (report.layers, report.snapshots, report.blobs) == (2, 2, 4)


def test_cache_records_keep_what_their_results_name(store: Store) -> None:
    chain = _layer(store, b"built", _layer(store, b"base", snapshot="s1"), snapshot="s2")
    extra = store.blobs.put(b"extra")
    _layer(store, b"lost", snapshot="s9")
    snapshot = json.dumps({"id": "s4", "parents": ["s3"]})
    for id in ("s3", "s4"):
        Path(store.driver_dir("overlay"), id).mkdir()
    _cache(store, "k", {"chain": str(chain), "deep": [{str(extra): 1}], "snapshot": snapshot})
    _age(store)
    assert gc.collect(store).snapshots == 1
    assert _snapshots(store) == ["s1", "s2", "s3", "s4"]
    assert store.blobs.has(extra) == 5
    assert gc.collect(store, keep_cache_for=3600.0).cache_records == 1
    assert _snapshots(store) == []
    assert list(store.blobs.list()) == []


def test_the_cache_is_cut_by_size_from_the_oldest(store: Store) -> None:
    now = time.time()
    for age in range(3):
        chain = _layer(store, bytes([age]) * 1000, snapshot=f"s{age}")
        _cache(store, f"k{age}", str(chain), last_used=now - 10_000 - age)
    _age(store)
    assert gc.collect(store, keep_cache_bytes=2000).cache_records == 1
    assert [record.key for record in store.cache.list()] == ["k1", "k0"]
    assert _snapshots(store) == ["s0", "s1"]


def test_damaged_results_keep_nothing_and_break_nothing(store: Store) -> None:
    store.cache.put(CacheRecord("k", "d", "s", b"{", b"\xff{", LONG_AGO, LONG_AGO, 0))
    _age(store)
    assert gc.collect(store).cache_records == 0


def test_what_is_leased_stays(store: Store) -> None:
    chain = _layer(store, b"layer", snapshot="s1")
    _layer(store, b"other", snapshot="s2")
    blob = store.blobs.put(b"blob")
    _cache(store, "k", {})
    _age(store)
    with (
        store.lease("snapshot", "s1"),
        store.lease("blob", str(blob)),
        store.lease("cache", "k"),
    ):
        report = gc.collect(store, keep_cache_for=0)
    assert (report.snapshots, report.layers, report.blobs, report.cache_records) == (1, 1, 1, 0)
    assert _snapshots(store) == ["s1"]
    assert store.layers.get(chain) is not None
    assert store.blobs.has(blob) == 4
    report = gc.collect(store, keep_cache_for=0)
    assert (report.snapshots, report.layers, report.blobs, report.cache_records) == (1, 1, 2, 1)
    assert _snapshots(store) == []


def test_what_a_living_process_has_written_stays(store: Store) -> None:
    _age(store)
    with store.tmp_dir():
        _layer(store, b"layer", snapshot="s1")
        store.blobs.put(b"blob")
        with Store.open(store.root) as other:
            assert gc.collect(other) == gc.GcReport()


def test_names_that_are_to_be_kept_stay(store: Store) -> None:
    chain = _layer(store, b"layer", _layer(store, b"base", snapshot="s1"), snapshot="s2")
    _layer(store, b"lost", snapshot="s3")
    _age(store)
    gc.collect(store, keep=[str(chain)])
    assert _snapshots(store) == ["s1", "s2"]


def test_a_layer_never_loses_the_one_below_it(store: Store) -> None:
    base = _layer(store, b"base", snapshot="s1")
    _age(store)
    top = _layer(store, b"top", base, snapshot="s2")  # young
    gc.collect(store)
    assert store.layers.get(base) is not None
    assert store.layers.get(top) is not None
    assert _snapshots(store) == ["s1", "s2"]


def test_unfinished_snapshots_and_dangling_links_go(store: Store) -> None:
    folder = Path(store.driver_dir("overlay"))
    for name in (".new-a", ".gone-b", "l", "empty"):
        (folder / name / "fs").mkdir(parents=True)
    (folder / "l/abcde").symlink_to("../a/fs")
    (folder / "kept/fs").mkdir(parents=True)
    (folder / "l/kept1").symlink_to("../kept/fs")
    _age(store)
    gc.collect(store, keep=["kept"])
    assert sorted(os.listdir(folder)) == ["empty", "kept", "l"]
    assert sorted(os.listdir(folder / "l")) == ["fs", "kept1"]


def test_snapshots_are_removed_by_their_driver(store: Store) -> None:
    _layer(store, b"layer", snapshot="s1")
    _age(store)
    calls: list[tuple[str, str]] = []
    gc.collect(store, remove_snapshot=lambda driver, id: calls.append((driver, id)))
    assert calls == [("overlay", "s1")]


def test_two_collections_at_once_are_one(store: Store) -> None:
    store.blobs.put(b"x")
    _age(store)
    with store.lock("gc"):
        assert gc.collect(store) == gc.GcReport()
    assert gc.collect(store).blobs == 1


def test_remembered_answers_are_pruned(store: Store) -> None:
    store.memo.put("k", "v", bytes(100))
    assert gc.collect(store, keep_memo_bytes=50).memo == 1


def test_artifacts_keep_their_blobs(store: Store) -> None:
    with store.database.write() as connection:
        digest = store.blobs.put(b'{"schemaVersion": 2, "no": "image"}')
        connection.execute(
            "INSERT INTO images VALUES (?, ?, 1, ?, '', 0, '', '{}', 0)",
            (str(digest), str(digest), media_types.OCI_MANIFEST),
        )
    _age(store)
    gc.collect(store)
    assert store.blobs.has(digest) is not None


def test_disk_usage(store: Store, sample: Callable[..., object]) -> None:
    image = sample(b"layer")
    store.images.put(image.manifest, image.media_type, image.config)  # type: ignore[attr-defined]
    _layer(store, b"layer", snapshot="s1")
    _mount(store, "m", bytes(100_000))
    usage = gc.disk_usage(store)
    assert (usage.images, usage.blobs, usage.layers, usage.snapshots, usage.cache_records) == (1, 3, 1, 1, 0)
    assert usage.blob_bytes == len(image.manifest) + len(image.config) + 5  # type: ignore[attr-defined]
    assert usage.snapshot_bytes > 0
    assert usage.cache_mount_bytes >= 100_000
    assert usage.database_bytes > 0


@pytest.mark.parametrize("document", [b"", b"{", b"null", b'"text"', b'["{broken"]'])
def test_strings_of_odd_documents(document: bytes) -> None:
    assert gc._strings(document) <= {"text", "{broken"}


def test_room_is_made_by_what_was_used_longest_ago(store: Store, sample: Callable[..., object]) -> None:
    image = sample(b"\2" * 1000)
    store.images.put(image.manifest, image.media_type, image.config, ["app:1"])  # type: ignore[attr-defined]
    for age in range(4):
        chain = _layer(store, bytes([age]) * 1000, snapshot=f"s{age}")
        _cache(store, f"k{age}", str(chain), last_used=LONG_AGO - age)
    _age(store)
    # k2's layer belongs to an image: it is not counted, and stays although its record goes.
    assert gc.collect(store, free_bytes=1500).cache_records == 3
    assert [record.key for record in store.cache.list()] == ["k0"]
    assert _snapshots(store) == ["s0", "s2"]
    assert gc.collect(store, free_bytes=0).cache_records == 0


def test_a_dry_run_counts_the_same_and_removes_nothing(store: Store) -> None:
    for age in range(3):
        chain = _layer(store, bytes([age]) * 1000, snapshot=f"s{age}")
        _cache(store, f"k{age}", str(chain), last_used=LONG_AGO - age)
    store.blobs.put(b"orphan")
    store.memo.put("kind", "key", b"value")
    _age(store)
    with store.database.write() as connection:
        connection.execute("UPDATE memo SET last_used = 1")
    would = gc.collect(store, keep_cache_bytes=1000, dry_run=True)
    assert (would.cache_records, would.layers, would.snapshots, would.blobs) == (2, 2, 2, 3)
    assert len(store.cache.list()) == 3
    assert _snapshots(store) == ["s0", "s1", "s2"]
    assert sum(1 for _ in store.blobs.list()) == 4
    assert store.memo.has("kind", "key")
    done = gc.collect(store, keep_cache_bytes=1000)
    assert (done.cache_records, done.layers, done.snapshots, done.blobs) == (2, 2, 2, 3)
    assert done.bytes == would.bytes


def test_cache_mounts_within_an_age(store: Store) -> None:
    now = time.time()
    new = _mount(store, "new", b"n", now - 3600)
    old = _mount(store, "old", b"o", now - 86400)
    assert gc.collect(store).cache_mounts == 0
    assert gc.collect(store, keep_cache_for=7200, dry_run=True).cache_mounts == 1
    assert old.exists()
    report = gc.collect(store, keep_cache_for=7200)
    assert (report.cache_mounts, new.exists(), old.exists()) == (1, True, False)
    assert report.bytes > 0


def test_cache_mounts_and_records_share_the_room(store: Store) -> None:
    _cache(store, "newest", {}, LONG_AGO + 30, 5000)
    kept = _mount(store, "kept", bytes(100_000), LONG_AGO + 20)
    _cache(store, "gone", {}, LONG_AGO + 10, 5000)
    gone = _mount(store, "gone", bytes(10), LONG_AGO)
    report = gc.collect(store, keep_cache_bytes=50_000)
    assert (report.cache_records, report.cache_mounts) == (1, 1)
    assert (kept.exists(), gone.exists()) == (True, False)
    assert gc.collect(store, free_bytes=1000).cache_mounts == 1
    assert not kept.exists()


def test_a_cache_mount_is_as_old_as_its_last_use(store: Store) -> None:
    folder = _mount(store, "m", b"x")
    store.cache_mounts.use("m")
    assert gc.collect(store, keep_cache_for=3600).cache_mounts == 0
    store.memo.forget("cache-mount")
    os.utime(folder, (LONG_AGO, LONG_AGO))
    assert gc.collect(store, keep_cache_for=3600).cache_mounts == 1


def test_the_rest_of_a_removal_that_was_killed_goes(store: Store) -> None:
    rest = _mount(store, ".gone-m", b"x")
    assert gc.collect(store).cache_mounts == 0
    assert not rest.exists()
    store.cache_mounts.remove("m")
