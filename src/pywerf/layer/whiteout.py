"""What removals in a layer do where it is unpacked: marks for overlay, or the removal itself in a plain tree.

image-spec layer.md#whiteouts: a removal is about the layers below, never about what its own layer holds,
in whichever order the two stand in the archive.
"""

from __future__ import annotations

import os
import stat
from typing import Protocol

from pywerf.errors import ArchiveError
from pywerf.layer.unpack import Unpacker

__all__ = ["OverlayMarks", "Removals", "Whiteouts"]

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Whiteouts(Protocol):
    """How a layer's removals are kept. Paths are clean. Raises OSError, ArchiveError."""

    def made(self, path: bytes) -> None:
        """The layer itself has `path`."""

    def remove(self, parent: bytes, base: bytes) -> None:
        """The layers below have `parent/base` no more."""

    def opaque(self, folder: bytes) -> None:
        """What the layers below have in `folder` is gone."""


class OverlayMarks:
    """Marks for overlayfs (kernel overlayfs.rst): whatever stands in the root is the layer's own."""

    def __init__(self, unpacker: Unpacker) -> None:
        self._unpacker = unpacker

    def made(self, path: bytes) -> None:
        """Nothing to remember."""

    def remove(self, parent: bytes, base: bytes) -> None:
        """A character device 0/0; a directory of the layer itself becomes opaque instead."""
        folder = self._unpacker.folder(parent)
        try:
            status = os.lstat(base, dir_fd=folder)
        except FileNotFoundError:
            os.mknod(base, stat.S_IFCHR, 0, dir_fd=folder)
            return
        if stat.S_ISDIR(status.st_mode):
            self._unpacker.mark_opaque(folder, base)

    def opaque(self, folder: bytes) -> None:
        """The xattr. The root cannot have it: overlay does not look there."""
        if not folder:
            raise ArchiveError(
                "tar, entry '.wh..wh..opq': the layer hides everything below its root, which overlay cannot show",
                hint="use --storage-driver vfs for this image",
            )
        self._unpacker.mark_opaque(self._unpacker.folder(folder), b".")


class Removals:
    """The removals themselves, in a tree that holds all layers below."""

    def __init__(self, unpacker: Unpacker) -> None:
        self._unpacker = unpacker
        self._made: set[bytes] = set()  # with all their parents

    def made(self, path: bytes) -> None:
        """Remember a path: no removal of its own layer is about it."""
        made = self._made
        while path not in made:
            made.add(path)
            path = path.rpartition(b"/")[0]

    def remove(self, parent: bytes, base: bytes) -> None:
        """Remove it, except for what the layer itself has there."""
        folder = self._unpacker.existing(parent)
        path = parent + b"/" + base if parent else base
        if folder is None:
            return
        if path not in self._made:
            self._unpacker.clear(folder, base)
        elif stat.S_ISDIR(os.lstat(base, dir_fd=folder).st_mode):
            self.opaque(path)

    def opaque(self, folder: bytes) -> None:
        """Empty a directory, except for what the layer itself has in it."""
        todo = [folder]
        while todo:
            path = todo.pop()
            fd = self._unpacker.folder(path)
            listing = os.open(b".", _FOLDER, dir_fd=fd)
            try:
                names = [os.fsencode(name) for name in os.listdir(listing)]
            finally:
                os.close(listing)
            for name in names:
                inner = path + b"/" + name if path else name
                if inner not in self._made:
                    self._unpacker.clear(fd, name)
                elif stat.S_ISDIR(os.lstat(name, dir_fd=fd).st_mode):
                    todo.append(inner)
