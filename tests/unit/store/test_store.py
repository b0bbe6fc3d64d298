"""Opening a store."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from pywerf.errors import StoreError
from pywerf.store.store import Store
from pywerf.util.home import default_root


def test_the_root_is_made_for_nobody_else(tmp_path: Path) -> None:
    root = tmp_path / "a" / "store"
    with Store.open(str(root)):
        assert root.stat().st_mode & 0o777 == 0o700
        assert (root / "oci/oci-layout").exists()


def test_opening_does_not_open_the_database(tmp_path: Path) -> None:
    with Store.open(str(tmp_path / "s")):
        pass
    with Store.open(str(tmp_path / "s")) as store:
        assert not Path(store.root, "db.sqlite").exists()
        assert store.layers.list() == []
        assert Path(store.root, "db.sqlite").exists()


def test_a_store_that_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no store here"):
        Store.open(str(tmp_path / "no"), create=False)
    assert not (tmp_path / "no").exists()


def test_a_place_where_no_store_can_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="cannot be opened") as caught:
        Store.open(str(tmp_path / "file" / "store"))
    assert caught.value.hint is not None


def test_missing_folders_are_made_again(tmp_path: Path) -> None:
    Store.open(str(tmp_path / "s")).close()
    os.rmdir(tmp_path / "s/tmp")
    with Store.open(str(tmp_path / "s")) as store:
        store.blobs.put(b"x")


def test_snapshot_ids_differ_and_are_file_names(store: Store) -> None:
    ids = {store.new_snapshot_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(len(id) == 13 and id.isalnum() and id == id.lower() for id in ids)


def test_many_threads_share_a_store(store: Store) -> None:
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for turn in range(20):
                store.memo.put("k", f"{number}-{turn}", b"x")
                assert store.memo.get("k", f"{number}-{turn}") == b"x"
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert store.database.row("SELECT count(*) FROM memo") == (120,)


def test_default_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert default_root() == "/var/lib/pywerf"
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert default_root() == "/data/pywerf"
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    monkeypatch.setenv("HOME", "/home/ci")
    assert default_root() == "/home/ci/.local/share/pywerf"
