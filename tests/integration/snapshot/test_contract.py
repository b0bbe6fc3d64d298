"""What every snapshot driver promises, one suite for all of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pywerf.errors import SnapshotError
from pywerf.linux.dirtree import DirectoryTree
from pywerf.linux.mount import Mount
from pywerf.snapshot.base import Snapshot, Snapshotter
from pywerf.snapshot.fuse import FuseSnapshotter
from pywerf.snapshot.overlay import OverlaySnapshotter
from pywerf.snapshot.vfs import VfsSnapshotter
from pywerf.util.filetree import FileTree
from support import machine

pytestmark = pytest.mark.integration

InMount = Callable[[Mount, Callable[[str], Any]], Any]
Describe = Callable[[FileTree], dict[str, tuple[object, ...]]]


@pytest.fixture(params=["overlay", "overlay-userxattr", "fuse", "fuse-userxattr", "vfs"])
def driver(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Snapshotter]:
    userxattr = request.param.endswith("userxattr")
    if request.param == "vfs":
        yield VfsSnapshotter(str(tmp_path / "vfs"))
    elif request.param.startswith("overlay"):
        yield OverlaySnapshotter(str(tmp_path / "overlay"), userxattr=userxattr)
    else:
        fuse = FuseSnapshotter(str(tmp_path / "overlay"), machine.require("fuse-overlayfs"), userxattr=userxattr)
        yield fuse
        fuse.close()


def _fill(root: str) -> None:
    Path(root, "etc").mkdir()
    Path(root, "etc/passwd").write_text("root:x:0:0\n")
    Path(root, "etc/gone").write_text("x")
    Path(root, "bin").symlink_to("usr/bin")
    Path(root, "usr/bin").mkdir(parents=True)
    Path(root, "usr/bin/tool").write_bytes(b"\x7fELF")
    os.chmod(f"{root}/usr/bin/tool", 0o4755)
    os.chown(f"{root}/etc/passwd", 5, 6)
    os.setxattr(f"{root}/etc/passwd", "user.note", b"\0binary")
    os.link(f"{root}/usr/bin/tool", f"{root}/usr/bin/tool2")
    os.mkfifo(f"{root}/etc/fifo")


def _change(root: str) -> None:
    os.unlink(f"{root}/etc/gone")
    Path(root, "etc/passwd").write_text("changed")
    for name in ("tool", "tool2"):
        os.unlink(f"{root}/usr/bin/{name}")
    os.rmdir(f"{root}/usr/bin")
    os.mkdir(f"{root}/usr/bin")
    Path(root, "usr/bin/new").write_text("new")


def _base(driver: Snapshotter) -> Snapshot:
    base = driver.prepare("base", None)
    _fill(driver.layer_dir(base))
    return driver.commit(base)


def test_an_empty_snapshot_is_an_empty_writable_root(driver: Snapshotter, in_mount: InMount) -> None:
    snapshot = driver.prepare("one", None)

    def work(root: str) -> list[str]:
        before = os.listdir(root)
        Path(root, "file").write_text("x")
        return before

    assert in_mount(driver.rootfs(snapshot), work) == []
    assert [node.name for node in driver.view(snapshot).scandir("")] == ["file"]
    root = driver.view(snapshot).lstat("")
    assert root is not None
    assert root.mode == 0o755


def test_a_child_has_the_files_of_its_parent_and_changes_nothing_there(
    driver: Snapshotter, in_mount: InMount, describe: Describe
) -> None:
    base = _base(driver)
    before = describe(driver.view(base))
    child = driver.prepare("child", base)
    assert child.parents == ("base",)
    assert describe(driver.view(child)) == before
    in_mount(driver.rootfs(child), _change)
    assert describe(driver.view(base)) == before
    live = describe(driver.view(child))
    assert live["etc"][6] == ("fifo", "passwd")
    assert live["etc/passwd"][6] == b"changed"
    assert live["usr/bin"][6] == ("new",)
    child = driver.commit(child)
    assert child.committed
    assert describe(driver.view(child)) == live


def test_a_view_shows_what_a_container_sees(driver: Snapshotter, in_mount: InMount, describe: Describe) -> None:
    child = driver.prepare("child", _base(driver))
    in_mount(driver.rootfs(child), _change)
    seen = in_mount(driver.rootfs(child, writable=False), lambda root: describe(DirectoryTree(root)))
    assert describe(driver.view(child)) == seen
    assert describe(driver.view(driver.commit(child))) == seen


def test_a_root_that_is_not_writable_cannot_be_written(driver: Snapshotter, in_mount: InMount) -> None:
    base = _base(driver)

    def work(root: str) -> str:
        with pytest.raises(OSError, match="Read-only"):
            Path(root, "x").write_text("x")
        return "refused"

    assert in_mount(driver.rootfs(base, writable=False), work) == "refused"


def test_a_snapshot_can_be_mounted_several_times_in_a_row(driver: Snapshotter, in_mount: InMount) -> None:
    snapshot = driver.prepare("one", _base(driver))
    for number in range(3):
        in_mount(driver.rootfs(snapshot), lambda root, n=number: Path(root, f"file{n}").write_text("x"))
    names = [node.name for node in driver.view(snapshot).scandir("")]
    assert names == ["bin", "etc", "file0", "file1", "file2", "usr"]


def test_stubs_are_mount_points_that_leave_no_trace(driver: Snapshotter, in_mount: InMount, tmp_path: Path) -> None:
    stubs = tmp_path / "stubs"
    (stubs / "proc").mkdir(parents=True)
    snapshot = driver.prepare("one", _base(driver))
    names = in_mount(driver.rootfs(snapshot, stubs=str(stubs)), lambda root: sorted(os.listdir(root)))
    assert set(names) >= {"bin", "etc", "usr"}
    assert driver.view(snapshot).lstat("proc") is None


def test_prepare_again_keeps_what_was_written(driver: Snapshotter) -> None:
    first = driver.prepare("one", None)
    Path(driver.layer_dir(first), "file").write_text("x")
    assert driver.prepare("one", None) == first
    assert Path(driver.layer_dir(first), "file").read_text() == "x"


def test_prepare_starts_anew_where_a_killed_one_stopped(driver: Snapshotter, tmp_path: Path) -> None:
    base = _base(driver)
    rest = tmp_path / driver.name / ".new-one"
    rest.mkdir(parents=True)
    (rest / "half").write_text("x")
    snapshot = driver.prepare("one", base)
    assert [node.name for node in driver.view(snapshot).scandir("")] == ["bin", "etc", "usr"]
    assert not rest.exists()


def test_commit_twice_is_the_same(driver: Snapshotter) -> None:
    snapshot = driver.commit(driver.prepare("one", None))
    assert driver.commit(snapshot) == snapshot
    assert driver.exists("one")


def test_a_committed_snapshot_is_not_mounted_writable(driver: Snapshotter) -> None:
    snapshot = driver.commit(driver.prepare("one", None))
    with pytest.raises(SnapshotError, match="committed"):
        driver.rootfs(snapshot)


def test_commit_of_what_is_not_there_is_an_error(driver: Snapshotter) -> None:
    with pytest.raises(SnapshotError, match="does not exist"):
        driver.commit(Snapshot("no", driver.name))


def test_remove_is_idempotent_and_takes_all(driver: Snapshotter, tmp_path: Path) -> None:
    child = driver.prepare("child", _base(driver))
    driver.remove("child")
    driver.remove("child")
    assert not driver.exists("child")
    assert not list((tmp_path / driver.name).glob("*child*"))
    links = tmp_path / "overlay" / "l"
    assert not links.exists() or [os.readlink(link) for link in links.iterdir()] == ["../base/fs"]
    with pytest.raises(SnapshotError):
        driver.rootfs(child)


@pytest.mark.parametrize("id", ["", "a/b", "..", ".x", "../../etc"])
def test_ids_cannot_lead_elsewhere(driver: Snapshotter, id: str) -> None:
    with pytest.raises(SnapshotError, match="invalid snapshot id"):
        driver.prepare(id, None)
    with pytest.raises(SnapshotError, match="invalid snapshot id"):
        driver.remove(id)


def test_the_root_directory_keeps_its_owner_and_mode(driver: Snapshotter) -> None:
    base = driver.prepare("base", None)
    os.chmod(driver.layer_dir(base), 0o1700)
    os.chown(driver.layer_dir(base), 7, 8)
    child = driver.prepare("child", driver.commit(base))
    root = driver.view(child).lstat("")
    assert root is not None
    assert (root.mode, root.uid, root.gid) == (0o1700, 7, 8)
