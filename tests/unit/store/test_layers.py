"""The records of layers."""

from __future__ import annotations

from pywerf.oci import media_types
from pywerf.oci.chain import chain_id
from pywerf.oci.descriptor import Descriptor
from pywerf.oci.digest import Digest
from pywerf.store.layers import LayerRecord
from pywerf.store.store import Store

A, B = Digest.of(b"a"), Digest.of(b"b")
BLOB = Descriptor(media_types.OCI_LAYER_GZIP, Digest.of(b"gz"), 7)


def test_put_and_get(store: Store) -> None:
    bottom = store.layers.put(LayerRecord(A, None, A, 10, BLOB, "snap", 5.0))
    top = store.layers.put(LayerRecord(chain_id(A, B), A, B, 20))
    assert store.layers.get(A) == bottom == LayerRecord(A, None, A, 10, BLOB, "snap", 5.0)
    assert store.layers.get(chain_id(A, B)) == top
    assert top.created > 0
    assert store.layers.get(B) is None
    assert store.layers.list() == [bottom, top]


def test_put_never_forgets(store: Store) -> None:
    store.layers.put(LayerRecord(A, None, A, 10, BLOB, None, 5.0))
    assert store.layers.put(LayerRecord(A, None, A, 10, None, "snap")) == LayerRecord(A, None, A, 10, BLOB, "snap", 5.0)
    other = Descriptor(media_types.OCI_LAYER_ZSTD, Digest.of(b"zstd"), 3)
    merged = store.layers.put(LayerRecord(A, None, A, 0, other, "another"))
    assert merged == LayerRecord(A, None, A, 10, BLOB, "snap", 5.0)


def test_set_and_forget(store: Store) -> None:
    store.layers.put(LayerRecord(A, None, A, 10, BLOB, "snap"))
    store.layers.set_snapshot(A, "new")
    store.layers.set_blob(A, None)
    found = store.layers.get(A)
    assert found is not None
    assert (found.blob, found.snapshot) == (None, "new")
    store.layers.set_blob(A, BLOB)
    store.layers.set_snapshot(A, None)
    found = store.layers.get(A)
    assert found is not None
    assert (found.blob, found.snapshot) == (BLOB, None)
    store.layers.set_snapshot(B, "nothing")
    store.layers.forget(A)
    store.layers.forget(A)
    assert store.layers.list() == []


def test_by_diff_id_gives_those_with_a_blob_first(store: Store) -> None:
    store.layers.put(LayerRecord(chain_id(A, B), A, B, 1))
    store.layers.put(LayerRecord(B, None, B, 1, BLOB))
    assert [record.chain_id for record in store.layers.by_diff_id(B)] == [B, chain_id(A, B)]
