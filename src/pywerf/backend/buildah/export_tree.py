"""Writes a tree, or a part of it, to a folder of the host: for bind mounts and `--output type=local`."""

from __future__ import annotations

import os

import msgspec

from pywerf.linux.devices import make_device
from pywerf.linux.owners import set_owner, times_of
from pywerf.util.filetree import FileTree, Node, walk

__all__ = ["export_tree"]


def export_tree(
    tree: FileTree, path: str, destination: str, *, owners: bool = True, owner: tuple[int, int] | None = None
) -> None:
    """Write what is at `path` (a file or a directory, resolved) to `destination`, which is made or filled.

    Hard links are kept. With `owner` (uid, gid) everything is theirs. Without `owners` everything belongs to who
    runs this, and devices are left out.
    """
    node = tree.lstat(path) if path else Node("", "dir", 0o755, 0, 0, 0, 0)
    if node is None:
        raise FileNotFoundError(path)
    if node.kind != "dir":
        _write(tree, path, _owned(node, owner), destination, {}, owners)
        return
    os.makedirs(destination, exist_ok=True)
    links: dict[tuple[int, int], str] = {}
    folders: list[tuple[str, Node]] = [(destination, _owned(node, owner))] if path else []
    for relative, found in walk(tree, path):
        item = _owned(found, owner)
        source = f"{path}/{relative}" if path else relative
        target = os.path.join(destination, relative)
        if item.kind == "dir":
            if os.path.lexists(target) and (os.path.islink(target) or not os.path.isdir(target)):
                os.unlink(target)
            os.makedirs(target, exist_ok=True)
            folders.append((target, item))
        else:
            _write(tree, source, item, target, links, owners)
    for target, item in reversed(folders):  # last: what is written into a directory changes its time
        if owners:
            set_owner(target, item.uid, item.gid)
        os.chmod(target, item.mode)
        os.utime(target, ns=(item.mtime_ns, item.mtime_ns))


def _owned(node: Node, owner: tuple[int, int] | None) -> Node:
    return node if owner is None else msgspec.structs.replace(node, uid=owner[0], gid=owner[1])


def _write(
    tree: FileTree, source: str, node: Node, target: str, links: dict[tuple[int, int], str], owners: bool
) -> None:
    if os.path.lexists(target):
        os.unlink(target)
    if node.kind == "file":
        if node.nlink > 1 and node.ino:
            first = links.setdefault((node.dev, node.ino), target)
            if first != target:
                os.link(first, target, follow_symlinks=False)
                return
        _copy_data(tree, source, target, node)
    elif node.kind == "symlink":
        os.symlink(tree.readlink(source), target)
    elif node.kind == "socket" or (node.kind in ("char", "block") and not owners):
        return
    else:
        import stat

        if node.kind == "fifo":
            os.mkfifo(target, 0o600)
        else:
            make_device(target, (stat.S_IFCHR if node.kind == "char" else stat.S_IFBLK) | 0o600, node.rdev)
    if owners:
        set_owner(target, node.uid, node.gid)
    if node.kind != "symlink":
        os.chmod(target, node.mode)
    for name, value in tree.xattrs(source).items():
        if owners or name.startswith("user."):
            os.setxattr(target, name, value, follow_symlinks=False)
    os.utime(target, ns=times_of(target, node.mtime_ns), follow_symlinks=False)


def _copy_data(tree: FileTree, source: str, target: str, node: Node) -> None:
    fd = tree.open(source)
    try:
        out = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            left = node.size
            while left:
                done = os.sendfile(out, fd, None, left)
                if not done:
                    break
                left -= done
        finally:
            os.close(out)
    finally:
        os.close(fd)
