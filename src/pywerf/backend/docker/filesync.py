"""Sends a tree of files to BuildKit as it asks for it (tonistiigi/fsutil): all names first, then what it lacks.

The protocol, in packets of one type each: the sender tells every file (STAT, numbered from 0 in order), and an empty
STAT at the end; the receiver, which compares with what it kept of the last time, requests the contents of files by
number (REQ), gets them in pieces (DATA, an empty one at the end), and says when it is through (FIN).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from urllib.parse import unquote_plus

from pywerf.backend.docker.grpc import Call, Refused
from pywerf.backend.docker.protobuf import Message, bytes_field, int_field
from pywerf.errors import ContextError
from pywerf.util.filetree import FileTree, Node, resolve, walk

__all__ = ["FileSync", "wanted_paths"]

_STAT, _REQ, _DATA, _FIN, _ERR = range(5)
_PIECE = 1 << 15
# Bits of Go's os.FileMode
_MODES = {"dir": 1 << 31, "symlink": 1 << 27, "block": 1 << 26, "char": 1 << 26 | 1 << 21, "fifo": 1 << 25}
_SETUID, _SETGID, _STICKY = 1 << 23, 1 << 22, 1 << 20


class FileSync:
    """The handler of /moby.filesync.v1.FileSync/DiffCopy for trees by their names; `sent` counts bytes of contents."""

    def __init__(self, trees: Mapping[str, FileTree]) -> None:
        self._trees = trees
        self.sent = 0

    def __call__(self, call: Call) -> None:
        """Serve one request for a tree."""
        name = call.metadata.get("dir-name", [""])[0]
        tree = self._trees.get(name)
        if tree is None:
            raise Refused(5, f"no folder {name!r} is offered")
        # What is excluded is not taken from the request: the tree is without it already.
        asked = call.metadata.get("followpaths", [])
        if call.metadata.get("followpaths-encoded"):
            asked = [unquote_plus(path) for path in asked]
        paths = wanted_paths(tree, asked)
        files: dict[int, tuple[str, int]] = {}
        links: dict[tuple[int, int], str] = {}
        for number, (path, node) in enumerate(_walk(tree, paths)):
            link = ""
            if node.kind == "file":
                files[number] = (path, node.size)
                if node.nlink > 1:
                    first = links.setdefault((node.dev, node.ino), path)
                    link = first if first != path else ""
            elif node.kind == "symlink":
                link = tree.readlink(path)
            call.write(int_field(1, _STAT) + bytes_field(2, _stat(tree, path, node, link)))
        call.write(int_field(1, _STAT))
        self._answer(call, tree, files)

    def _answer(self, call: Call, tree: FileTree, files: dict[int, tuple[str, int]]) -> None:
        while (data := call.read()) is not None:
            packet = Message(data)
            kind = packet.number(1)
            if kind == _REQ:
                number = packet.number(3)
                if number not in files:
                    raise ContextError(f"the daemon asks for file {number}, which is none")
                self._send_file(call, tree, number, *files[number])
            elif kind == _FIN:
                call.write(int_field(1, _FIN))
                return
            elif kind == _ERR:
                raise ContextError(f"the daemon refuses the build context: {packet.text(4)}")

    def _send_file(self, call: Call, tree: FileTree, number: int, path: str, size: int) -> None:
        head = int_field(1, _DATA) + int_field(3, number)
        fd = tree.open(path)
        try:
            left = size  # what it has grown meanwhile is not sent
            while left and (piece := os.read(fd, min(_PIECE, left))):
                left -= len(piece)
                call.write(head + bytes_field(4, piece))
                self.sent += len(piece)
        finally:
            os.close(fd)
        call.write(head)


def _stat(tree: FileTree, path: str, node: Node, link: str) -> bytes:
    """fsutil's Stat. Everything belongs to root, as with every client."""
    mode = node.mode & 0o777 | _MODES.get(node.kind, 0)
    for bit, flag in ((0o4000, _SETUID), (0o2000, _SETGID), (0o1000, _STICKY)):
        if node.mode & bit:
            mode |= flag
    out = bytes_field(1, path) + int_field(2, mode)
    out += int_field(5, 0 if link or node.kind != "file" else node.size) + int_field(6, node.mtime_ns)
    out += bytes_field(7, link)
    if node.kind in ("char", "block"):
        out += int_field(8, os.major(node.rdev)) + int_field(9, os.minor(node.rdev))
    if node.kind in ("file", "dir"):
        for key, value in sorted(tree.xattrs(path).items()):
            out += bytes_field(10, bytes_field(1, key) + bytes_field(2, value, always=True))
    return out


def _walk(tree: FileTree, paths: frozenset[str] | None) -> Iterator[tuple[str, Node]]:
    for path, node in walk(tree, ""):
        if node.kind == "socket" or (paths is not None and not _is_wanted(path, paths)):
            continue
        yield path, node


def _is_wanted(path: str, paths: frozenset[str]) -> bool:
    """Whether a path is one of them, in one of them, or on the way to one."""
    if path in paths or any(other.startswith(f"{path}/") for other in paths):
        return True
    while "/" in path:
        path = path.rpartition("/")[0]
        if path in paths:
            return True
    return False


def wanted_paths(tree: FileTree, asked: list[str]) -> frozenset[str] | None:
    """What has to be sent for the paths that a build reads; None: everything. It may be more than was asked for.

    The part before the first wildcard counts. Symlinks are followed, and sent with what they lead to.
    """
    wanted: set[str] = set()
    for path in asked:
        parts: list[str] = []
        for part in path.split("/"):
            if any(char in part for char in "*?[\\"):
                break
            if part == "..":
                return None
            if part and part != ".":
                parts.append(part)
        if not parts:
            return None
        here = ""
        for part in parts:
            here = f"{here}/{part}" if here else part
            node = tree.lstat(here)
            if node is not None and node.kind == "symlink":
                wanted.add(here)
                target = resolve(tree, here)
                if not target:
                    return None
                wanted.add(target)
                here = target
        wanted.add(here)
    return frozenset(wanted) if wanted else None
