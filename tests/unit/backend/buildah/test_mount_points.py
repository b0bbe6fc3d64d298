"""Directories of mount points."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pywerf.backend.buildah.mount_points import mount_points
from pywerf.store.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(str(tmp_path / "store")) as opened:
        yield opened


def test_folders_and_empty_files_whatever_the_umask(store: Store) -> None:
    before = os.umask(0o077)
    try:
        place = Path(mount_points(store, {"/dev": True, "etc/hosts": False, "//run//secrets/a": False}))
    finally:
        os.umask(before)
    assert place.stat().st_mode & 0o777 == 0o755
    assert sorted(str(path.relative_to(place)) for path in place.rglob("*")) == [
        "dev",
        "etc",
        "etc/hosts",
        "run",
        "run/secrets",
        "run/secrets/a",
    ]
    assert (place / "dev").is_dir()
    assert (place / "etc/hosts").read_bytes() == b""


def test_steps_with_the_same_targets_share_one(store: Store) -> None:
    place = mount_points(store, {"dev": True, "a": False})
    inode = os.stat(place).st_ino
    assert mount_points(store, {"dev": True, "a": False}) == place
    assert os.stat(place).st_ino == inode
    assert mount_points(store, {"dev": True, "a": True}) != place
    assert mount_points(store, {"dev": True}) != place


def test_what_needs_following_of_links_is_left_out(store: Store) -> None:
    assert os.listdir(mount_points(store, {"../x": True, "a/../../b": False, "/": True, "./c": True, "d": True})) == [
        "d"
    ]


def test_the_last_says_what_a_target_is(store: Store) -> None:
    assert Path(mount_points(store, {"a": False, "/a/": True}), "a").is_dir()


def test_nothing_is_left_when_the_store_is_closed(tmp_path: Path) -> None:
    with Store.open(str(tmp_path / "store")) as opened:
        place = mount_points(opened, {"dev": True})
        assert os.path.isdir(place)
    assert not os.path.exists(place)
