"""The database: versions, damage, transactions, forks."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pywerf.errors import StoreError
from pywerf.store.database import SCHEMA_VERSION
from pywerf.store.store import Store
from support.forked import in_a_child


def test_write_ahead_and_versioned(store: Store) -> None:
    assert store.database.row("PRAGMA journal_mode") == ("wal",)
    assert store.database.row("PRAGMA user_version") == (SCHEMA_VERSION,)


def test_an_exception_rolls_back(store: Store) -> None:
    def fail() -> None:
        with store.database.write() as connection:
            connection.execute("INSERT INTO meta VALUES ('k', 'v')")
            raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 - raised above, without a text
        fail()
    assert store.database.row("SELECT * FROM meta WHERE key = 'k'") is None
    store.memo.put("still", "works", b"")


def test_a_newer_schema_is_refused(store: Store) -> None:
    store.database.rows(f"PRAGMA user_version={SCHEMA_VERSION + 1}")
    with Store.open(store.root) as other, pytest.raises(StoreError, match="newer version"):
        other.layers.list()


def test_a_damaged_file_is_an_error_of_ours(tmp_path: Path) -> None:
    with Store.open(str(tmp_path / "s")) as store:
        store.layers.list()
    Path(tmp_path, "s/db.sqlite").write_bytes(b"no database" * 1000)
    with Store.open(str(tmp_path / "s")) as store, pytest.raises(StoreError, match="is damaged") as caught:
        store.layers.list()
    assert caught.value.hint is not None


def test_a_query_that_is_wrong_is_an_error_of_ours(store: Store) -> None:
    with pytest.raises(StoreError, match="no such table"):
        store.database.rows("SELECT * FROM nowhere")


def test_a_fork_has_connections_of_its_own(store: Store) -> None:
    store.memo.put("k", "parent", b"1")

    def child() -> None:
        assert store.memo.get("k", "parent") == b"1"
        store.memo.put("k", "child", b"2")
        store.blobs.put(b"of the child")
        store.close()

    in_a_child(child)
    assert store.memo.get("k", "child") == b"2"
    store.memo.put("k", "after", b"3")
    with store.tmp_dir() as path:
        assert os.path.isdir(path)
