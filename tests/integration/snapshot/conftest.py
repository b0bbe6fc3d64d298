"""Mounting in a child with a mount namespace of its own, and a form of trees that can be compared."""

from __future__ import annotations

import os
import pickle
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pywerf.linux import syscalls
from pywerf.linux.mount import Mount
from pywerf.util.filetree import FileTree, join

InMount = Callable[[Mount, Callable[[str], Any]], Any]


def _mount(mount: Mount, target: str) -> None:
    if mount.type == "bind":
        syscalls.mount(mount.source, target, None, syscalls.MS_BIND)
        if "ro" in mount.options:
            syscalls.mount(None, target, None, syscalls.MS_BIND | syscalls.MS_REMOUNT | syscalls.MS_RDONLY)
        return
    if mount.type == "tree":
        tree = os.open(mount.source, os.O_PATH)
        if "ro" in mount.options:
            syscalls.mount_setattr(tree, "", syscalls.AT_EMPTY_PATH, syscalls.MOUNT_ATTR_RDONLY)
        syscalls.move_mount(tree, "", syscalls.AT_FDCWD, target, syscalls.MOVE_MOUNT_F_EMPTY_PATH)
        os.close(tree)
        return
    flags = syscalls.MS_RDONLY if "ro" in mount.options else 0
    data = ",".join(option for option in mount.options if option != "ro")
    syscalls.mount(mount.source, target, mount.type, flags, data)


@pytest.fixture
def in_mount(tmp_path: Path) -> InMount:
    """Calls a function with the directory where a mount is, in a child; returns what it returns."""
    if os.geteuid() != 0:
        pytest.fail("mounting needs root: run this test as root")
    target = str(tmp_path / "mounted")

    def call(mount: Mount, function: Callable[[str], Any]) -> Any:
        os.makedirs(target, exist_ok=True)
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                os.close(reader)
                syscalls.unshare(syscalls.CLONE_NEWNS)
                syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
                _mount(mount, target)
                with open(writer, "wb") as pipe:
                    pickle.dump(function(target), pipe)
                status = 0
            except BaseException:
                traceback.print_exc(file=sys.__stderr__)
            finally:
                os._exit(status)
        os.close(writer)
        with open(reader, "rb") as pipe:
            answer = pipe.read()
        assert os.waitpid(child, 0)[1] == 0, "the child failed: see its output"
        return pickle.loads(answer)

    return call


def _describe(tree: FileTree) -> dict[str, tuple[object, ...]]:
    out: dict[str, tuple[object, ...]] = {}
    todo = [""]
    while todo:
        path = todo.pop()
        node = tree.lstat(path)
        assert node is not None, path
        extra: object = None
        if node.kind == "dir":
            children = tree.scandir(path)
            extra = tuple(child.name for child in children)
            for child in children:
                found = tree.lstat(join(path, child.name))
                assert found == child, (path, child)
                todo.append(join(path, child.name))
        elif node.kind == "symlink":
            extra = tree.readlink(path)
        elif node.kind == "file":
            fd = tree.open(path)
            extra = os.read(fd, 1 << 20)
            os.close(fd)
        xattrs = tree.xattrs(path)
        out[path] = (node.kind, node.mode, node.uid, node.gid, node.mtime_ns, node.rdev, extra, xattrs)
    return out


@pytest.fixture
def describe() -> Callable[[FileTree], dict[str, tuple[object, ...]]]:
    """All that a tree says of its files, by path; checks on the way that scandir and lstat agree."""
    return _describe
