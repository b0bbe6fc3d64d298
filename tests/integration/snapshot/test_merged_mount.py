"""The merged view of layers against a real overlay mount of the same layers, on generated files."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pywerf.linux.dirtree import DirectoryTree
from pywerf.linux.mount import Mount
from pywerf.snapshot.live import LiveTree
from pywerf.snapshot.merged import MergedTree
from pywerf.snapshot.overlay import OverlaySnapshotter
from pywerf.util.filetree import FileTree

pytestmark = pytest.mark.integration

InMount = Callable[[Mount, Callable[[str], Any]], Any]
Describe = Callable[[FileTree], dict[str, tuple[object, ...]]]

_settings = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
_names = st.sampled_from(["a", "b", "é"])
_paths = st.lists(_names, min_size=1, max_size=3).map("/".join)
_operations = st.lists(
    st.tuples(
        st.sampled_from(["write", "mkdir", "remove", "symlink", "rename", "chmod", "xattr", "link", "device"]),
        _paths,
        _paths,
    ),
    max_size=8,
)
# A layer as somebody might have unpacked it: path -> what is there.
_raw_layers = st.lists(
    st.dictionaries(_paths, st.sampled_from(["file", "dir", "opaque", "whiteout", "symlink"]), max_size=6),
    min_size=1,
    max_size=4,
)


def _operate(root: str, operations: list[tuple[str, str, str]]) -> None:
    """Do what can be done: an operation that the file system refuses is none."""
    for operation, first, second in operations:
        path, other = f"{root}/{first}", f"{root}/{second}"
        try:
            if operation == "write":
                Path(path).write_text(second)
            elif operation == "mkdir":
                os.makedirs(path)
            elif operation == "remove":
                shutil.rmtree(path) if os.path.isdir(path) and not os.path.islink(path) else os.unlink(path)
            elif operation == "symlink":
                os.symlink("b", path)
            elif operation == "rename":
                os.rename(path, other)
            elif operation == "chmod":
                os.chmod(path, 0o700 + len(second), follow_symlinks=True)
            elif operation == "xattr":
                os.setxattr(path, "user.x", second.encode(), follow_symlinks=False)
            elif operation == "link":
                os.link(path, other)
            else:
                os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 3))
        except OSError:
            continue


def _unpack(root: Path, layer: dict[str, str]) -> None:
    root.mkdir()
    for path, kind in sorted(layer.items()):
        target = root / path
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.parent.is_symlink() or target.parent.parent.is_symlink():
                continue
            if kind == "file":
                target.write_text(str(root))
            elif kind == "symlink":
                target.symlink_to("b")
            elif kind == "whiteout":
                os.mknod(target, stat.S_IFCHR, 0)
            else:
                target.mkdir(exist_ok=True)
                if kind == "opaque":
                    os.setxattr(target, "trusted.overlay.opaque", b"y")
        except OSError:  # what an earlier entry stands in the way of is left out
            continue


@_settings
@given(layers=st.lists(_operations, min_size=1, max_size=4))
def test_layers_made_by_the_kernel_read_as_the_kernel_reads_them(
    layers: list[list[tuple[str, str, str]]], tmp_path: Path, in_mount: InMount, describe: Describe
) -> None:
    root = tmp_path / "overlay"
    shutil.rmtree(root, ignore_errors=True)
    driver = OverlaySnapshotter(str(root))
    parent = None
    for number, operations in enumerate(layers):
        snapshot = driver.prepare(f"s{number}", parent)
        in_mount(driver.rootfs(snapshot), lambda merged, todo=operations: _operate(merged, todo))
        live = describe(driver.view(snapshot))
        parent = driver.commit(snapshot)
        assert describe(driver.view(parent)) == live
    assert parent is not None
    mount = driver.rootfs(parent, writable=False)
    assert live == in_mount(mount, lambda merged: describe(DirectoryTree(merged)))


@_settings
@given(layers=_raw_layers)
def test_layers_of_any_form_read_as_the_kernel_reads_them(
    layers: list[dict[str, str]], tmp_path: Path, in_mount: InMount, describe: Describe
) -> None:
    root = tmp_path / "layers"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    for number, layer in enumerate(layers):
        _unpack(root / str(number), layer)
    (root / "empty").mkdir()
    stack = [*(str(root / str(number)) for number in range(len(layers))), str(root / "empty")]
    mount = Mount("overlay", "overlay", "", (f"lowerdir={':'.join(stack)}", "ro"))
    seen = in_mount(mount, lambda merged: describe(DirectoryTree(merged)))
    assert describe(MergedTree(stack)) == seen
    assert describe(LiveTree(stack[0], MergedTree(stack[1:]))) == seen


def test_an_opaque_root_is_read_as_the_kernel_reads_it(tmp_path: Path, in_mount: InMount, describe: Describe) -> None:
    for name in ("top", "below"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_text(name)
    os.setxattr(tmp_path / "top", "trusted.overlay.opaque", b"y")
    stack = [str(tmp_path / "top"), str(tmp_path / "below")]
    mount = Mount("overlay", "overlay", "", (f"lowerdir={':'.join(stack)}", "ro"))
    seen = in_mount(mount, lambda merged: describe(DirectoryTree(merged)))
    assert describe(MergedTree(stack)) == seen
    assert describe(LiveTree(stack[0], MergedTree(stack[1:]))) == seen
