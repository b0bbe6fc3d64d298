"""Snapshots as JSON."""

from __future__ import annotations

import pytest

from pywerf.errors import SnapshotError
from pywerf.snapshot.base import Snapshot


def test_json_keeps_everything() -> None:
    snapshot = Snapshot("c", "overlay", ("b", "a"), True)
    assert Snapshot.from_json(snapshot.to_json()) == snapshot


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"id": 1, "driver": "vfs"}', b"{"])
def test_damaged_json_is_an_error_of_ours(data: bytes) -> None:
    with pytest.raises(SnapshotError, match="damaged record"):
        Snapshot.from_json(data)
