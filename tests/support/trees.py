"""Directory trees as values, and archives by hand: what the tests of layers compare and feed."""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Iterable
from io import BytesIO

__all__ = ["collect", "header", "pax", "pieces", "tree"]

_LAYER_XATTRS = ("user.", "security.capability")
_DRIVER_XATTRS = ("user.overlay.", "user.fuseoverlayfs.")


def tree(
    root: str | os.PathLike[str], *, times: bool = True, root_entry: bool = False
) -> dict[str, tuple[object, ...]]:
    """Every file below `root` with all that a layer keeps of it; hard links as the first name of their group."""
    top = os.fspath(root)
    found: dict[str, tuple[object, ...]] = {}
    groups: dict[tuple[int, int], str] = {}
    names = ["."] if root_entry else []
    for folder, directories, files in os.walk(top):
        directories.sort()
        names += [os.path.relpath(os.path.join(folder, name), top) for name in [*directories, *files]]
    for name in sorted(names, key=os.fsencode):
        path = os.path.join(top, name)
        status = os.lstat(path)
        content: object = None
        if stat.S_ISREG(status.st_mode):
            with open(path, "rb") as file:
                content = file.read()
        elif stat.S_ISLNK(status.st_mode):
            content = os.readlink(path)
        elif stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
            content = status.st_rdev
        first = name
        if not stat.S_ISDIR(status.st_mode) and status.st_nlink > 1:
            first = groups.setdefault((status.st_dev, status.st_ino), name)
        found[name] = (
            oct(status.st_mode),
            status.st_uid,
            status.st_gid,
            status.st_mtime_ns // 10**9 if times else None,
            content,
            _xattrs(path),
            first,
        )
    return found


def _xattrs(path: str) -> dict[str, bytes]:
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError:
        return {}
    return {
        name: os.getxattr(path, name, follow_symlinks=False)
        for name in sorted(names)
        if name.startswith(_LAYER_XATTRS) and not name.startswith(_DRIVER_XATTRS)
    }


def collect(data: bytes) -> dict[str, tarfile.TarInfo]:
    """The entries of a tar as Python's tarfile reads them, in order."""
    with tarfile.open(fileobj=BytesIO(data), mode="r:") as archive:
        return {member.name: member for member in archive}


def pieces(data: bytes, size: int) -> Iterable[bytes]:
    """`data` in chunks of `size` bytes."""
    return (data[start : start + size] for start in range(0, len(data), size))


def header(
    name: bytes,
    *,
    kind: bytes = b"0",
    size: int | bytes = 0,
    link: bytes = b"",
    mode: int = 0o644,
    mtime: int = 0,
    rdev: tuple[int, int] = (0, 0),
    magic: bytes = b"ustar\00000",
    signed: bool = False,
    tail: bytes = b"",
) -> bytes:
    """One header block with a right checksum, whatever else is wrong with it. `tail` replaces what is at 345."""
    block = bytearray(512)
    block[: len(name)] = name
    block[100:124] = b"%07o\0" % mode + b"0000000\0" * 2
    block[124:136] = size if isinstance(size, bytes) else b"%011o\0" % size
    block[136:148] = b"%011o\0" % mtime
    block[148:156] = b" " * 8
    block[156:157] = kind
    block[157 : 157 + len(link)] = link
    block[257:265] = magic
    block[329:345] = b"%07o\0%07o\0" % rdev
    block[345 : 345 + len(tail)] = tail
    total = sum(byte - 256 if signed and byte > 127 else byte for byte in block)
    block[148:156] = b"%06o\0 " % total
    return bytes(block)


def pax(kind: bytes = b"x", **records: bytes) -> bytes:
    """A pax header with `records`; underscores in the keys stand for dots."""
    body = b""
    for key, value in records.items():
        line = b" " + key.replace("_", ".").encode() + b"=" + value + b"\n"
        length = len(line) + 1
        while length != len(line) + len(str(length)):
            length += 1
        body += str(length).encode() + line
    return header(b"PaxHeader", kind=kind, size=len(body)) + body + bytes(-len(body) % 512)
