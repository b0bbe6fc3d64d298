"""When images were used by builds that found them."""

from __future__ import annotations

import os
import time
from pathlib import Path

from pywerf.build.last_use import LastUse

IMAGE = "ab" * 32


def test_a_use_is_remembered_by_the_image_alone(tmp_path: Path) -> None:
    before = time.time()
    LastUse(str(tmp_path)).note(f"sha256:{IMAGE}")
    assert before - 1 <= LastUse(str(tmp_path)).of(IMAGE) <= time.time() + 1
    assert LastUse(str(tmp_path)).of("cd" * 32) == 0


def test_a_use_is_renewed_after_an_hour(tmp_path: Path) -> None:
    used = LastUse(str(tmp_path))
    used.note(IMAGE)
    (file,) = (path for path in tmp_path.rglob("*") if path.is_file())
    lately, before = time.time() - 1800, time.time() - 7200
    os.utime(file, (lately, lately))
    used.note(IMAGE)
    assert used.of(IMAGE) == file.stat().st_mtime < time.time() - 1700
    os.utime(file, (before, before))
    used.note(IMAGE)
    assert used.of(IMAGE) > time.time() - 60


def test_where_nothing_can_be_written_nothing_is_remembered(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.write_text("a file")
    used = LastUse(str(home))
    used.note(IMAGE)
    assert used.of(IMAGE) == 0
