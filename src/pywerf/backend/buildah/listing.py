"""Lists of the files that a step took: what is kept of them, so that it can be told which of them was changed."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from pywerf.util.filetree import Node, is_content_addressed

if TYPE_CHECKING:
    from pywerf.backend.buildah.files import Files
    from pywerf.backend.buildah.selection import Selected

__all__ = ["Listed", "listing_of", "read_listing"]

_MAX_BYTES = 4 << 20
_PLAIN_BYTES = 1 << 20  # what is compressed is smaller, but is there later
_PLAIN, _ZLIB = b"\0", b"\1"
_DIGEST_BYTES = 8  # enough to tell contents apart; nothing is decided by them


class Listed(msgspec.Struct, frozen=True, array_like=True):
    """One file. `content` is the beginning of the digest of a regular file, the target of a link, or empty."""

    kind: str
    mode: int
    uid: int
    gid: int
    content: bytes = b""


def listing_of(selected: Iterable[Selected], files: Files, *, owners: bool) -> bytes:
    """The files of a selection by their paths, with digests, modes and owners; b"" when they are too many to be kept.

    Without `owners` those are left out. Reads only what is not remembered as read. Raises ContextError.
    """
    tree = files.tree
    places: list[str] = []
    nodes: list[tuple[str, Node]] = []
    for item in selected:
        if item.path:
            places.append(item.written)
            nodes.append((item.path, item.node))
        if item.node.kind == "dir":
            shown = f"{item.written}/" if item.written else ""
            real = f"{item.path}/" if item.path else ""
            for path, node in item.entries(tree):
                places.append(shown + path)
                nodes.append((real + path, node))
    regular = [entry for entry in nodes if entry[1].kind == "file"]
    if is_content_addressed(tree):
        digests = [tree.content_id(path) for path, _ in regular]
    elif files.digests is not None:
        digests = files.digests.digests_of(tree, regular)
    else:
        return b""
    contents = iter(digests)
    rows = []
    for path, node in nodes:
        kind = node.kind
        content = b""
        if kind == "file":
            content = next(contents)[:_DIGEST_BYTES]
        elif kind == "symlink":
            content = tree.readlink(path).encode("utf-8", "surrogateescape")
        rows.append((kind, node.mode, node.uid if owners else 0, node.gid if owners else 0, content))
    data = msgspec.msgpack.encode(("\0".join(places).encode("utf-8", "surrogateescape"), rows))
    data = _PLAIN + data if len(data) <= _PLAIN_BYTES else _ZLIB + zlib.compress(data, 1)
    return data if len(data) <= _MAX_BYTES else b""


def read_listing(data: bytes) -> dict[str, Listed]:
    """What `listing_of` has made. Raises ValueError for anything else."""
    try:
        if data[:1] not in (_PLAIN, _ZLIB):
            raise ValueError("no list of files")
        body = data[1:] if data[:1] == _PLAIN else zlib.decompress(data[1:])
        paths, rows = msgspec.msgpack.decode(body, type=tuple[bytes, list[Listed]])
        names = paths.decode("utf-8", "surrogateescape").split("\0") if rows else []
        return {path: row for path, row in zip(names, rows, strict=True) if row.kind != "socket"}
    except (zlib.error, msgspec.DecodeError) as error:
        raise ValueError(f"no list of files: {error}") from error
