"""What the overlay driver asks to be mounted; nothing is mounted here."""

from __future__ import annotations

from pathlib import Path

import pytest

from pywerf.errors import SnapshotError
from pywerf.snapshot.base import Snapshot
from pywerf.snapshot.overlay import MAX_LAYERS, OverlaySnapshotter


@pytest.fixture
def driver(tmp_path: Path) -> OverlaySnapshotter:
    return OverlaySnapshotter(str(tmp_path / "o"))


def _option(options: tuple[str, ...], key: str) -> str:
    return next(option.partition("=")[2] for option in options if option.startswith(f"{key}="))


def test_lowers_come_nearest_first_by_short_names(driver: OverlaySnapshotter) -> None:
    base = driver.commit(driver.prepare("base", None))
    middle = driver.commit(driver.prepare("middle", base))
    top = driver.prepare("top", middle)
    mount = driver.rootfs(top, stubs="/stubs")
    lowers = _option(mount.options, "lowerdir").split(":")
    assert [Path(lower).resolve().parent.name for lower in lowers[:2]] == ["middle", "base"]
    assert lowers[2] == "/stubs"
    assert all(len(Path(lower).name) == 5 for lower in lowers[:2])
    assert _option(mount.options, "upperdir") == driver.layer_dir(top)
    assert Path(_option(mount.options, "workdir")).is_dir()
    assert {"redirect_dir=nofollow", "metacopy=off", "index=off", "xino=off", "volatile"} <= set(mount.options)
    assert "userxattr" not in mount.options


def test_a_read_only_root_has_no_upper(driver: OverlaySnapshotter) -> None:
    mount = driver.rootfs(driver.commit(driver.prepare("one", None)), writable=False)
    assert "ro" in mount.options
    assert "volatile" not in mount.options
    assert not any(option.startswith(("upperdir", "workdir")) for option in mount.options)
    assert len(_option(mount.options, "lowerdir").split(":")) == 2


def test_every_writable_root_has_a_work_directory_of_its_own(driver: OverlaySnapshotter) -> None:
    snapshot = driver.prepare("one", None)
    works = {_option(driver.rootfs(snapshot).options, "workdir") for _ in range(3)}
    assert len(works) == 3
    driver.commit(snapshot)
    assert not any(Path(work).exists() for work in works)


def test_in_a_user_namespace_the_marks_are_user_xattrs(tmp_path: Path) -> None:
    driver = OverlaySnapshotter(str(tmp_path), userxattr=True)
    assert driver.xattr_prefix == "user.overlay."
    assert driver.xattr_namespace == "user"
    options = driver.rootfs(driver.prepare("one", None)).options
    assert "userxattr" in options


def test_a_colon_in_a_name_is_escaped(tmp_path: Path) -> None:
    driver = OverlaySnapshotter(str(tmp_path / "a:b"))
    mount = driver.rootfs(driver.prepare("two", driver.commit(driver.prepare("one", None))))
    assert "a\\:b" in _option(mount.options, "lowerdir")


def test_a_backslash_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SnapshotError, match="cannot be used"):
        OverlaySnapshotter(str(tmp_path / "a\\b"))


def test_more_layers_than_the_kernel_stacks_are_refused(driver: OverlaySnapshotter) -> None:
    parent = Snapshot("p", "overlay", tuple(f"p{number}" for number in range(MAX_LAYERS - 1)), True)
    with pytest.raises(SnapshotError, match="too many layers"):
        driver.prepare("one", parent)


def test_layers_are_prepared_before_their_parents_are_complete(driver: OverlaySnapshotter) -> None:
    below = driver.prepare("below", None)
    above = driver.prepare("above", below)
    Path(driver.layer_dir(above), "a").touch()
    Path(driver.layer_dir(below), "b").touch()
    driver.commit(below)
    names = [node.name for node in driver.view(driver.commit(above)).scandir("")]
    assert names == ["a", "b"]


def test_another_process_finds_the_snapshots(driver: OverlaySnapshotter) -> None:
    base = driver.commit(driver.prepare("base", None))
    again = OverlaySnapshotter(driver.root)
    assert again.prepare("base", None) == base
    again.rootfs(again.prepare("top", base))
    assert again.exists("base")
