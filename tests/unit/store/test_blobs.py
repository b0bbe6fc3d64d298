"""Blobs: written once, whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pywerf.errors import StoreError
from pywerf.oci.digest import Digest
from pywerf.store.store import Store


def _tmp_files(store: Store) -> list[Path]:
    return [path for path in Path(store.root, "tmp").rglob("*") if path.is_file()]


def test_put_and_read(store: Store) -> None:
    digest = store.blobs.put(b"content")
    assert digest == Digest.of(b"content")
    assert store.blobs.has(digest) == 7
    assert store.blobs.read(digest) == b"content"
    assert Path(store.blobs.path(digest)) == Path(store.root, "oci/blobs/sha256", digest.hex)
    assert b"".join(store.blobs.chunks(digest, 3)) == b"content"
    with store.blobs.open(digest) as file:
        assert file.read(3) == b"con"


def test_what_is_not_there(store: Store) -> None:
    digest = Digest.of(b"no")
    assert store.blobs.has(digest) is None
    for call in (store.blobs.open, store.blobs.read, store.blobs.chunks):
        with pytest.raises(StoreError, match="is not in the store"):
            call(digest)
    store.blobs.delete(digest)


@pytest.mark.parametrize("hashing", [True, False])
def test_a_writer_finds_the_digest_itself(store: Store, hashing: bool) -> None:
    with store.blobs.writer(hashing=hashing) as writer:
        for chunk in (b"one", bytearray(b"two"), memoryview(b"three")):
            writer.write(chunk)
        assert writer.size == 11
        assert writer.commit() == (Digest.of(b"onetwothree"), 11)
    assert store.blobs.read(Digest.of(b"onetwothree")) == b"onetwothree"
    assert _tmp_files(store) == []


def test_a_digest_that_is_known_is_taken(store: Store) -> None:
    digest = Digest("sha512", "ab" * 64)  # also of an algorithm whose folder is not there yet
    with store.blobs.writer() as writer:
        writer.write(b"data")
        assert writer.commit(digest) == (digest, 4)
    assert store.blobs.read(digest) == b"data"


def test_leaving_without_commit_leaves_nothing(store: Store) -> None:
    with store.blobs.writer() as writer:
        writer.write(b"half")
        assert len(_tmp_files(store)) == 1
    assert _tmp_files(store) == []
    assert list(store.blobs.list()) == []


def test_nothing_is_visible_before_commit(store: Store) -> None:
    with store.blobs.writer(hashing=True) as writer:
        writer.write(b"x")
        assert store.blobs.has(Digest.of(b"x")) is None
        writer.commit()
        assert store.blobs.has(Digest.of(b"x")) == 1


def test_written_twice_is_written_once_and_counts_as_new(store: Store) -> None:
    digest = store.blobs.put(b"same")
    inode = os.stat(store.blobs.path(digest)).st_ino
    os.utime(store.blobs.path(digest), (1, 1))
    with store.blobs.writer() as writer:
        writer.write(b"same")
        writer.commit()
    st = os.stat(store.blobs.path(digest))
    assert st.st_ino == inode
    assert st.st_mtime > 1
    os.utime(store.blobs.path(digest), (1, 1))
    store.blobs.put(b"same")
    assert os.stat(store.blobs.path(digest)).st_mtime > 1
    assert _tmp_files(store) == []


def test_a_blob_of_another_size_is_replaced(store: Store) -> None:
    digest = store.blobs.put(b"whole")
    Path(store.blobs.path(digest)).write_bytes(b"wh")
    store.blobs.put(b"whole")
    assert store.blobs.read(digest) == b"whole"


def test_deleted_while_open_reads_on(store: Store) -> None:
    digest = store.blobs.put(b"content")
    chunks = store.blobs.chunks(digest, 4)
    assert next(chunks) == b"cont"
    store.blobs.delete(digest)
    assert next(chunks) == b"ent"


def test_list_gives_all(store: Store) -> None:
    digests = {store.blobs.put(data): len(data) for data in (b"a", b"bb")}
    assert {digest: size for digest, size, _ in store.blobs.list()} == digests
