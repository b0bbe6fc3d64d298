"""--volume of run and of buildah build."""

from __future__ import annotations

from pathlib import Path

import pytest

from pywerf.backend.buildah.volumes import Volume
from pywerf.build.volumes import parse_volume
from pywerf.errors import UsageError
from pywerf.linux.mount import Mount


def test_a_folder(tmp_path: Path) -> None:
    volume = parse_volume(f"{tmp_path}:/data")
    assert volume == Volume(str(tmp_path), "/data")
    assert volume.mount == Mount("bind", str(tmp_path), "/data", ("rbind", "rw"))


@pytest.mark.parametrize(("words", "read_only"), [("ro", True), ("rw", False), ("z,ro", True), ("Z", False)])
def test_options(tmp_path: Path, words: str, read_only: bool) -> None:
    assert parse_volume(f"{tmp_path}:/data:{words}").read_only is read_only


def test_more_options(tmp_path: Path) -> None:
    volume = parse_volume(f"{tmp_path}:/data:bind,noexec,nosuid,U,O,rprivate")
    assert volume == Volume(str(tmp_path), "/data", False, ("bind", "noexec", "nosuid"), overlay=True, chown=True)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/x",
        "{here}",
        "{here}:data",
        ":/data",
        "{here}:/data:ro:rw",
        "{here}:/data:nope",
        "{here}:/data:ro,rw",
        "{here}:/data:z,O",
        "{here}:/data:rshared",
        "{here}/no:/d",
        "/etc/passwd:/d:O",
    ],
)
def test_what_is_no_volume(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match="--volume"):
        parse_volume(text.replace("{here}", str(tmp_path)))
