"""Volumes as mounts: as they are, thrown away, given to the container's user."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pywerf.backend.buildah.volumes import Volume, mount_volume
from pywerf.errors import BuildError
from pywerf.linux.mount import Mount


def nobody() -> tuple[int, int]:
    raise AssertionError("nobody asked for an owner")


def test_a_bind_mount(tmp_path: Path) -> None:
    volume = Volume("/a", "/b", True, ("bind", "noexec"))
    assert mount_volume(volume, "overlay", str(tmp_path / "v"), nobody) == Mount(
        "bind", "/a", "/b", ("bind", "noexec", "ro")
    )
    assert os.listdir(tmp_path) == []


def test_an_overlay_has_folders_of_its_own(tmp_path: Path) -> None:
    source = tmp_path / "a:b"
    source.mkdir(mode=0o750)
    folder = tmp_path / "v"
    mount = mount_volume(Volume(str(source), "/b", overlay=True), "overlay", str(folder), nobody)
    assert (mount.type, mount.target) == ("overlay", "/b")
    assert mount.options[:3] == (
        f"lowerdir={tmp_path}/a\\:b",
        f"upperdir={folder}/upper",
        f"workdir={folder}/work",
    )
    assert (folder / "upper").stat().st_mode & 0o7777 == 0o750
    assert "rbind" not in mount.options


def test_without_the_kernels_overlay_it_is_a_copy(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_text("content")
    mount = mount_volume(Volume(str(source), "/b", overlay=True), "vfs", str(tmp_path / "v"), nobody)
    assert mount.source != str(source)
    assert (Path(mount.source) / "file").read_text() == "content"


def test_a_changed_owner_stops_at_links(tmp_path: Path) -> None:
    source, outside = tmp_path / "source", tmp_path / "outside"
    (source / "sub").mkdir(parents=True)
    outside.mkdir()
    (source / "sub/link").symlink_to(outside)
    mount_volume(Volume(str(source), "/b", chown=True), "overlay", "", lambda: (os.getuid(), os.getgid()))
    if os.geteuid() == 0:
        mount_volume(Volume(str(source), "/b", chown=True), "overlay", "", lambda: (7, 8))
        owners = {(path.lstat().st_uid, path.lstat().st_gid) for path in (source, source / "sub", source / "sub/link")}
        assert owners == {(7, 8)}
        assert outside.stat().st_uid == 0


@pytest.mark.parametrize("path", ["/", "/etc", "/usr/../home"])
def test_the_systems_folders_keep_their_owner(path: str) -> None:
    with pytest.raises(BuildError, match="would change the owner"):
        mount_volume(Volume(path, "/b", chown=True), "overlay", "", nobody_owns)


def nobody_owns() -> tuple[int, int]:
    return os.getuid(), os.getgid()
