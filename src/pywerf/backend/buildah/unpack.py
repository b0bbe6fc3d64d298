"""ADD of archives: a tar is read once, its files' data kept in one spool file, its entries planned.

Nothing is unpacked to disk: owners, devices and modes need no privilege this way, and links in the archive
can lead nowhere but into the image.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import msgspec

from pywerf.backend.buildah.copy_plan import CopyPlan, Planned
from pywerf.errors import ArchiveError, BuildError
from pywerf.layer.compress import decompress
from pywerf.layer.tar_read import TarEntry, read_entries
from pywerf.util.filetree import Node, join

__all__ = ["is_archive", "unpack_archive"]

_CHUNK = 1 << 20


def is_archive(open_source: Callable[[], Iterator[bytes]]) -> bool:
    """Whether the file is a tar, plain or compressed with gzip, bzip2, xz or zstd: its first header tells."""
    try:
        return next(iter(read_entries(decompress(open_source()))), None) is not None
    except ArchiveError:
        return False


def unpack_archive(chunks: Iterator[bytes], plan: CopyPlan, folder: str, spool: int) -> None:
    """Plan the archive's entries below `folder`, which is resolved and planned; `spool` is a scratch file.

    An entry takes the place of whatever is there, but that directories are merged: docker's rule for ADD.

    Raises ArchiveError for what is damaged, BuildError for what cannot stand in the image.
    """
    offset = os.lseek(spool, 0, os.SEEK_END)
    for entry in read_entries(decompress(chunks)):
        path = _place(plan, folder, entry)
        if not path:  # `./`: the destination stays as it is
            continue
        name = path.rpartition("/")[2]
        node = Node(name, "file", entry.mode & 0o7777, entry.uid, entry.gid, 0, entry.mtime_ns)
        if entry.kind == "hardlink":
            offset += _hard_link(plan, folder, entry, path, (spool, offset))
        elif entry.kind == "file":
            size = 0
            for chunk in entry.data():
                size += _append(spool, chunk)
            node = Node(
                name,
                "file",
                entry.mode & 0o7777,
                entry.uid,
                entry.gid,
                size,
                entry.mtime_ns,
            )
            plan.put(
                path,
                node,
                None,
                "",
                replace=True,
                spool=(spool, offset),
                xattrs=entry.xattrs or None,
            )
            offset += size
        else:
            node = Node(
                name,
                entry.kind,
                entry.mode & 0o7777,
                entry.uid,
                entry.gid,
                0,
                entry.mtime_ns,
                entry.rdev,
            )
            plan.put(
                path,
                node,
                None,
                "",
                replace=True,
                target=entry.linkname,
                xattrs=entry.xattrs or None,
            )


def _place(plan: CopyPlan, folder: str, entry: TarEntry) -> str:
    """Where an entry goes: below `folder`, links in its parents followed inside the image; empty: nowhere."""
    parts: list[str] = []
    for part in entry.path.split("/"):
        if part == "..":
            if not parts:
                raise ArchiveError(f"{entry.path}: the entry's name leads out of the archive")
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    if not parts:
        return ""
    parent = plan.resolve("/".join(parts[:-1]), root=folder)
    plan.make_directories(parent)
    return join(parent, parts[-1])


def _hard_link(plan: CopyPlan, folder: str, entry: TarEntry, path: str, spool: tuple[int, int]) -> int:
    """One more name of a file, which gets what the link's own header says: owner, mode, time.

    The file may be one that the archive does not have, but the destination: then its data is spooled. How much that was
    is the result.
    """
    target = plan.resolve(entry.linkname, root=folder, follow_last=False)
    spooled = 0
    if target not in plan.entries:
        spooled = _take_from_below(plan, target, spool)
    first = plan.entries.get(target)
    if first is None or first.node.kind == "dir":
        raise BuildError(f"{entry.path}: hard link to {entry.linkname}, which neither archive nor destination have")
    if not first.link:
        plan.links += 1
        first.link = plan.links
    node = msgspec.structs.replace(first.node, name=path.rpartition("/")[2], uid=entry.uid, gid=entry.gid)
    xattrs = first.xattrs
    if node.kind != "symlink":
        node = msgspec.structs.replace(node, mode=entry.mode & 0o7777, mtime_ns=entry.mtime_ns)
        if entry.xattrs:
            xattrs = {**(xattrs or {}), **entry.xattrs}
    plan.put(
        path,
        node,
        None,
        "",
        replace=True,
        spool=first.spool,
        data=first.data,
        link=first.link,
        target=first.target,
        xattrs=xattrs,
    )
    node = plan.entries[path].node
    if xattrs is not first.xattrs or msgspec.structs.replace(node, name=first.node.name) != first.node:
        for other in plan.entries.values():
            if other.link == first.link:
                other.node = msgspec.structs.replace(node, name=other.node.name)
                other.xattrs = xattrs
    return spooled


def _take_from_below(plan: CopyPlan, path: str, spool: tuple[int, int]) -> int:
    """Plan the file or symlink that the tree below has at `path`, as it is; the result is the size of its data."""
    node, lower = plan.below(path), plan.lower
    if node is None or lower is None or node.kind not in ("file", "symlink"):
        return 0
    plan.put_parents_of(path)
    kept = Planned(node, spool=spool, xattrs=lower.xattrs(path) or None)
    plan.entries[path] = kept
    if node.kind == "symlink":
        kept.target = lower.readlink(path)
        return 0
    fd = lower.open(path)
    try:
        return sum(_append(spool[0], chunk) for chunk in read_chunks(fd))
    finally:
        os.close(fd)


def _append(spool: int, chunk: bytes) -> int:
    view = memoryview(chunk)
    while view:
        view = view[os.write(spool, view) :]
    return len(chunk)


def read_chunks(fd: int) -> Iterator[bytes]:
    """The rest of a descriptor's file in pieces of a mebibyte."""
    while chunk := os.read(fd, _CHUNK):
        yield chunk
