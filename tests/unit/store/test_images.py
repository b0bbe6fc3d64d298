"""Images by id and name, and the OCI layout that follows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pywerf.errors import DigestMismatch, ImageInUse, ImageNotFound, InvalidDocument, StoreError
from pywerf.oci import media_types
from pywerf.oci.chain import chain_ids
from pywerf.oci.digest import Digest
from pywerf.oci.platform import Platform
from pywerf.store.images import ImageRecord
from pywerf.store.layers import LayerRecord
from pywerf.store.store import Store

Sample = Callable[..., "object"]


def _put(store: Store, image: object, *names: str) -> ImageRecord:
    return store.images.put(image.manifest, image.media_type, image.config, names)  # type: ignore[attr-defined]


def _layout(store: Store) -> dict[str | None, str]:
    document = json.loads(Path(store.oci_dir, "index.json").read_bytes())
    assert document["schemaVersion"] == 2
    return {
        item.get("annotations", {}).get("org.opencontainers.image.ref.name"): item["digest"]
        for item in document["manifests"]
    }


def test_put_and_get(store: Store, sample: Sample) -> None:
    image = sample(b"layer", b"other", label="x")
    record = _put(store, image, "localhost/app:1", "localhost/app:latest")
    assert record == store.images.get(image.id)
    assert record.id == image.id
    assert record.manifest_digest == image.digest
    assert record.names == ("localhost/app:1", "localhost/app:latest")
    assert record.created == "2024-05-06T07:08:09Z"
    assert record.platform == Platform("linux", "amd64")
    assert record.labels == {"label": "x"}
    assert record.size == len(b"layerother")
    assert not record.is_index
    assert store.blobs.read(image.digest) == image.manifest
    assert store.blobs.read(image.id) == image.config
    assert store.images.by_manifest(image.digest) == record


def test_the_size_is_that_of_known_layers_or_what_is_said(store: Store, sample: Sample) -> None:
    image = sample(b"a", b"b")
    parent = None
    for chain, diff_id in zip(
        chain_ids((Digest.of(b"a"), Digest.of(b"b"))), (Digest.of(b"a"), Digest.of(b"b")), strict=True
    ):
        store.layers.put(LayerRecord(chain, parent, diff_id, 1000))
        parent = chain
    assert _put(store, image).size == 2000
    assert store.images.put(image.manifest, image.media_type, image.config, size=5).size == 5


def test_put_twice_is_one(store: Store, sample: Sample) -> None:
    image = sample(b"layer")
    first = _put(store, image, "a:1")
    again = _put(store, image, "b:1")
    assert again.names == ("a:1", "b:1")
    assert again.added == first.added
    assert len(store.images.list()) == 1


def test_what_is_so_already_is_not_written(store: Store, sample: Sample) -> None:
    image = sample(b"layer", b"other")
    record = _put(store, image, "localhost/app:1", "localhost/app:2")
    connection = store.database.connection()
    before = connection.total_changes, Path(store.oci_dir, "index.json").stat().st_mtime_ns
    assert _put(store, image, "localhost/app:2") == record
    assert _put(store, image) == record
    store.images.tag(record.id, "localhost/app:1")
    assert (connection.total_changes, Path(store.oci_dir, "index.json").stat().st_mtime_ns) == before
    assert _put(store, image, "localhost/app:3").names == ("localhost/app:1", "localhost/app:2", "localhost/app:3")


def test_names_move(store: Store, sample: Sample) -> None:
    old = _put(store, sample(b"old"), "app:1", "app:old")
    new = _put(store, sample(b"new"), "app:1")
    assert new.names == ("app:1",)
    assert store.images.resolve("app:1").id == new.id
    assert store.images.resolve("app:old").id == old.id
    store.images.tag(new.id, "app:old")
    assert store.images.get(old.id).names == ()  # type: ignore[union-attr]
    assert [record.id for record in store.images.list()] == [new.id, old.id]


def test_a_config_of_another_image_is_refused(store: Store, sample: Sample) -> None:
    with pytest.raises(DigestMismatch):
        store.images.put(sample(b"a").manifest, media_types.OCI_MANIFEST, sample(b"b").config)
    assert store.images.list() == []


def test_manifests_and_indexes_are_not_confused(store: Store, sample: Sample, index_of: Callable[..., bytes]) -> None:
    image = sample(b"a")
    with pytest.raises(InvalidDocument):
        store.images.put(index_of(image), media_types.OCI_INDEX, image.config)
    with pytest.raises(InvalidDocument):
        store.images.put_index(image.manifest, image.media_type)


def test_index(store: Store, sample: Sample, index_of: Callable[..., bytes]) -> None:
    image = sample(b"a")
    member = _put(store, image)
    data = index_of(image)
    record = store.images.put_index(data, media_types.OCI_INDEX, ["multi:1"])
    assert record.is_index
    assert record.id == record.manifest_digest == Digest.of(data)
    assert record.platform is None
    assert store.images.resolve("multi:1") == record
    with pytest.raises(ImageInUse, match="multi:1"):
        store.images.remove(member.id)
    store.images.remove(member.id, force=True)
    store.images.remove(record.id)
    assert store.images.list() == []


def test_resolve_by_id(store: Store, sample: Sample) -> None:
    record = _put(store, sample(b"a"), "name:1")
    hex = record.id.hex
    for text in (hex, f"sha256:{hex}", hex[:12], hex[:3], f"sha256:{hex[:5]}", record.manifest_digest.hex):
        assert store.images.resolve(text) == record
    for text in (hex[:2], "f" * 64 if hex[0] != "f" else "0" * 64, "zzz", "", hex + "0", hex[:12].upper() + "X"):
        with pytest.raises(ImageNotFound):
            store.images.resolve(text)


def test_an_ambiguous_id_is_an_error(store: Store, sample: Sample) -> None:
    prefixes: dict[str, int] = {}
    for number in range(300):  # more than enough for two of 4096 prefixes to be the same
        record = _put(store, sample(b"a", label=str(number)))
        prefixes[record.id.hex[:3]] = prefixes.get(record.id.hex[:3], 0) + 1
        if prefixes[record.id.hex[:3]] == 2:
            break
    with pytest.raises(StoreError, match="more than one") as caught:
        store.images.resolve(record.id.hex[:3])
    assert not isinstance(caught.value, ImageNotFound)
    assert store.images.resolve(record.id.hex) == record


def test_a_name_goes_before_an_id(store: Store, sample: Sample) -> None:
    first = _put(store, sample(b"a"))
    second = _put(store, sample(b"b"), first.id.hex[:6], "localhost/x:1")
    assert store.images.resolve(first.id.hex[:6]) == second
    assert store.images.resolve_first(["x", "localhost/x:1", first.id.hex[:7]]) == second
    assert store.images.resolve_first(["no:1", first.id.hex[:7]]) == first
    with pytest.raises(ImageNotFound) as caught:
        store.images.resolve_first(["x:1", "y:1"])
    assert caught.value.name == "x:1"


def test_tag_and_untag(store: Store, sample: Sample) -> None:
    record = _put(store, sample(b"a"))
    store.images.tag(record.id, "a:1")
    store.images.tag(record.id, "a:1")
    assert store.images.resolve("a:1").names == ("a:1",)
    store.images.untag("a:1")
    with pytest.raises(ImageNotFound):
        store.images.untag("a:1")
    with pytest.raises(ImageNotFound):
        store.images.tag(Digest.of(b"no"), "a:1")
    with pytest.raises(ImageNotFound):
        store.images.remove(Digest.of(b"no"))


def test_the_layout_follows(store: Store, sample: Sample) -> None:
    one, two = sample(b"one"), sample(b"two")
    _put(store, one, "a:1", "a:2")
    _put(store, two)
    assert _layout(store) == {"a:1": str(one.digest), "a:2": str(one.digest), None: str(two.digest)}
    store.images.untag("a:1")
    store.images.tag(two.id, "a:2")
    assert _layout(store) == {None: str(one.digest), "a:2": str(two.digest)}
    store.images.remove(one.id)
    assert _layout(store) == {"a:2": str(two.digest)}
    assert json.loads(Path(store.oci_dir, "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}


def test_a_layout_that_missed_a_change_is_written_at_the_next_opening(store: Store, sample: Sample) -> None:
    image = sample(b"one")
    _put(store, image, "a:1")
    before = Path(store.oci_dir, "index.json").read_bytes()
    store.images.tag(image.id, "b:1")
    # As if the process had been killed between the transaction and the writing of the file.
    Path(store.oci_dir, "index.json").write_bytes(before)
    with store.database.write() as connection:
        connection.execute("UPDATE meta SET value = '1' WHERE key = 'index_generation'")
    with Store.open(store.root) as again:
        again.images.list()
        assert _layout(again) == {"a:1": str(image.digest), "b:1": str(image.digest)}
