"""A build context as a tar stream: the files that the ignore rules leave, in a fixed form and order."""

from __future__ import annotations

import os
from collections.abc import Iterator

from pywerf.layer.tar_write import TarWriter
from pywerf.util.filetree import FileTree, Node, walk

__all__ = ["free_name", "tar_chunks"]


def tar_chunks(
    tree: FileTree | None, extra: tuple[tuple[str, bytes], ...] = (), *, owners: bool = False
) -> Iterator[bytes]:
    """The archive in chunks of about 512 KiB. `extra` are files (path, content) that stand at its end.

    All belongs to root unless `owners` are kept; sockets are left out. Raises ContextError, ArchiveError.
    """
    pending: list[bytes] = []
    writer = TarWriter(pending.append)
    links: dict[tuple[int, int], str] = {}
    if tree is not None:
        for path, node in walk(tree, ""):
            _add(writer, tree, path, node, links, owners)
            if pending:
                yield b"".join(pending)
                pending.clear()
    for path, data in extra:
        writer.file_bytes(path, 0o644, 0, 0, 0, data)
    writer.close()
    yield b"".join(pending)


def _add(
    writer: TarWriter, tree: FileTree, path: str, node: Node, links: dict[tuple[int, int], str], owners: bool
) -> None:
    uid, gid = (node.uid, node.gid) if owners else (0, 0)
    xattrs = tree.xattrs(path) if node.kind in ("file", "dir") else {}
    if node.nlink > 1 and node.kind == "file":
        first = links.setdefault((node.dev, node.ino), path)
        if first != path:
            writer.hardlink(path, first, node.mode, uid, gid, node.mtime_ns)
            return
    if node.kind == "file":
        fd = tree.open(path)
        try:
            writer.file(path, node.mode, uid, gid, node.mtime_ns, node.size, fd, xattrs)
        finally:
            os.close(fd)
    elif node.kind == "dir":
        writer.directory(path, node.mode, uid, gid, node.mtime_ns, xattrs)
    elif node.kind == "symlink":
        writer.symlink(path, tree.readlink(path), uid, gid, node.mtime_ns)
    elif node.kind in ("char", "block", "fifo"):
        writer.device(path, node.kind, node.mode, uid, gid, node.mtime_ns, node.rdev)


def free_name(tree: FileTree | None, wanted: str) -> str:
    """`wanted`, or the like, that nothing in the root of the tree is called."""
    name, number = wanted, 1
    while tree is not None and tree.lstat(name) is not None:
        number += 1
        name = f"{wanted}.{number}"
    return name
