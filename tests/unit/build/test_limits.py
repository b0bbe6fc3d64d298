"""Limits of the store's volume, and when a cleanup is started after a build."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from pywerf.build.limits import VolumeLimit, start_host_cleanup, start_in_background, volume_limit
from pywerf.errors import UsageError
from pywerf.store.store import Store


@pytest.mark.parametrize(
    ("allowed", "margin", "expected"),
    [
        ("70", "5", VolumeLimit(70, 5)),
        ("70.5%", "0", VolumeLimit(70.5, 0)),
        ("50GB", "1GiB", VolumeLimit(50e9, float(1 << 30), "bytes")),
        ("1.5TB", "500MB", VolumeLimit(1.5e12, 5e8, "bytes")),
        ("10kB", "1KiB", VolumeLimit(1e4, 1024, "bytes")),
    ],
)
def test_values(allowed: str, margin: str, expected: VolumeLimit) -> None:
    assert volume_limit(allowed, margin) == expected


@pytest.mark.parametrize(
    ("allowed", "margin"),
    [("70", "1GB"), ("10GB", "5"), ("101", "5"), ("-1", "5"), ("", "5"), ("much", "5"), ("5 B", "5")],
)
def test_values_that_are_none(allowed: str, margin: str) -> None:
    with pytest.raises(UsageError, match="--allowed-backend-storage-volume-usage"):
        volume_limit(allowed, margin)


def test_how_full_a_volume_is(tmp_path: Path) -> None:
    facts = os.statvfs(tmp_path)
    total = facts.f_blocks * facts.f_frsize
    assert VolumeLimit(100, 0).over(str(tmp_path)) == 0
    assert VolumeLimit(0, 0).over(str(tmp_path)) > 0
    assert VolumeLimit(total, 0, "bytes").over(str(tmp_path)) == 0
    assert VolumeLimit(total, total, "bytes").excess(str(tmp_path)) == VolumeLimit(0, 5, "bytes").excess(str(tmp_path))
    assert VolumeLimit(0, 10).excess(str(tmp_path)) > 0


def test_a_young_store_is_left_alone(tmp_path: Path) -> None:
    with Store.open(str(tmp_path / "store")) as store:
        assert not start_in_background(store.root, "0", "0")
        assert not (tmp_path / "store" / "cleaned").exists()


def test_cleanups_are_an_hour_apart(tmp_path: Path) -> None:
    with Store.open(str(tmp_path / "store")) as store:
        old = time.time() - 4000
        os.utime(f"{store.root}/oci/oci-layout", (old, old))
        # The sub-command that is started refuses these values at once: nothing is cleaned here.
        assert start_in_background(store.root, "refused", "refused")
        assert not start_in_background(store.root, "refused", "refused")
        os.utime(f"{store.root}/cleaned", (old, old))
        assert start_in_background(store.root, "refused", "refused")


def test_cleanups_of_a_machine_are_an_hour_apart(tmp_path: Path) -> None:
    home = tmp_path / "home"
    flags = ["--max-age", "refused"]  # the sub-command refuses it at once: nothing is cleaned here
    assert not start_host_cleanup(str(home), flags)  # nothing can be old yet
    assert not start_host_cleanup(str(home), flags)
    old = time.time() - 4000
    os.utime(home / "cleaned", (old, old))
    assert start_host_cleanup(str(home), flags)
    assert not start_host_cleanup(str(home), flags)
