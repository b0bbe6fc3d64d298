"""Writes a copy plan as a layer: one pass over the sources, hashing as it goes."""

from __future__ import annotations

import os
from collections.abc import Callable

from pywerf.backend.buildah.copy_plan import CopyPlan, Planned
from pywerf.errors import ContextError
from pywerf.layer.tar_write import TarWriter
from pywerf.util.filetree import FileTree

__all__ = ["Digested", "write_plan"]

# told about every file that was read: tree, path in it, sha256 of the content
Digested = Callable[[FileTree, Planned, bytes], None]


def write_plan(plan: CopyPlan, writer: TarWriter, digested: Digested | None) -> None:
    """Write all entries in order. Raises ContextError when a source cannot be read any more."""
    links: dict[tuple[int, int, int], str] = {}
    for path, entry in plan.sorted():
        node = entry.node
        kind = node.kind
        if kind == "file":
            inode = _inode(entry)
            first = path if inode is None else links.setdefault(inode, path)
            if first != path:
                writer.hardlink(path, first, node.mode, node.uid, node.gid, node.mtime_ns)
            else:
                _write_file(path, entry, writer, digested)
        elif kind == "dir":
            xattrs = _xattrs(entry)
            writer.directory(path, node.mode, node.uid, node.gid, node.mtime_ns, xattrs)
        elif kind == "symlink":
            target = entry.target if entry.tree is None else entry.tree.readlink(entry.source)
            writer.symlink(path, target, node.uid, node.gid, node.mtime_ns, _xattrs(entry))
        elif kind != "socket":
            writer.device(path, kind, node.mode, node.uid, node.gid, node.mtime_ns, node.rdev, _xattrs(entry))


def _inode(entry: Planned) -> tuple[int, int, int] | None:
    """What entries that are one file have in common; None for a file of its own."""
    if entry.link:
        return (0, 0, entry.link)
    node = entry.node
    return (id(entry.tree), node.dev, node.ino) if node.nlink > 1 and node.ino and entry.tree is not None else None


def _xattrs(entry: Planned) -> dict[str, bytes] | None:
    if entry.xattrs is not None:
        return entry.xattrs
    return entry.tree.xattrs(entry.source) if entry.tree is not None else None


def _write_file(path: str, entry: Planned, writer: TarWriter, digested: Digested | None) -> None:
    node = entry.node
    if entry.data is not None:
        writer.file_bytes(path, node.mode, node.uid, node.gid, node.mtime_ns, entry.data, entry.xattrs)
        return
    if entry.spool is not None:
        fd, offset = entry.spool
        os.lseek(fd, offset, os.SEEK_SET)
        writer.file(path, node.mode, node.uid, node.gid, node.mtime_ns, node.size, fd, entry.xattrs)
        return
    tree = entry.tree
    assert tree is not None
    try:
        fd = tree.open(entry.source)
    except OSError as error:
        raise ContextError(
            f"{entry.source}: {error.strerror}", hint="exclude it in .dockerignore if the image does not need it"
        ) from error
    try:
        digest = writer.file(
            path,
            node.mode,
            node.uid,
            node.gid,
            node.mtime_ns,
            node.size,
            fd,
            tree.xattrs(entry.source),
            digest=digested is not None,
        )
    finally:
        os.close(fd)
    if digested is not None and digest is not None:
        digested(tree, entry, bytes.fromhex(digest.hex))
