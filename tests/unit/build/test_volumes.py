"""--volume of run and of buildah build."""

from __future__ import annotations

from pathlib import Path

import pytest

from pywerf.build.volumes import Volume, parse_volume
from pywerf.errors import UsageError
from pywerf.linux.mount import Mount


def test_a_folder(tmp_path: Path) -> None:
    volume = parse_volume(f"{tmp_path}:/data")
    assert volume == Volume(str(tmp_path), "/data")
    assert volume.mount == Mount("bind", str(tmp_path), "/data", ("rbind", "rw"))


@pytest.mark.parametrize(("words", "read_only"), [("ro", True), ("rw", False), ("z,ro", True), ("Z", False)])
def test_options(tmp_path: Path, words: str, read_only: bool) -> None:
    assert parse_volume(f"{tmp_path}:/data:{words}").read_only is read_only


@pytest.mark.parametrize(
    "text", ["", "/x", "{here}", "{here}:data", "{here}:/data:ro:rw", "{here}:/data:nope", "{here}/no:/d"]
)
def test_what_is_no_volume(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match="--volume"):
        parse_volume(text.replace("{here}", str(tmp_path)))
