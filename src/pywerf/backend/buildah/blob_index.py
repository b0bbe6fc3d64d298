"""What is in a layer's blob: its entries and where their data are, found without unpacking anything."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator

import msgspec

from pywerf.errors import ArchiveError
from pywerf.layer.lower import OPAQUE_FILE
from pywerf.layer.tar_format import show
from pywerf.layer.tar_read import TarEntry, TarReader
from pywerf.layer.tar_write import WHITEOUT_PREFIX
from pywerf.layer.unpack import clean_name
from pywerf.layer.xattrs import wanted
from pywerf.util.filetree import Node

__all__ = ["LayerFile", "LayerIndex"]

_HEADER = 512
_IN_MEMORY = 4 << 20
_PREFIX = len(WHITEOUT_PREFIX)


class LayerFile:
    """One entry of a layer. `offset` is where its data begin in the tar, or in `index`'s spool of sparse files."""

    __slots__ = ("index", "node", "offset", "sparse", "target", "xattrs")

    def __init__(self, index: LayerIndex, node: Node, target: str, xattrs: dict[str, bytes], offset: int) -> None:
        self.index = index
        self.node = node
        self.target = target
        self.xattrs = xattrs
        self.offset = offset
        self.sparse = False


class LayerIndex:
    """The entries of one layer, in order. `chunks` begins its plain tar; `plain` is the file that holds just that,

    if there is one. Without it the tar is written to an unnamed file in `folder` when the first file is read.
    Safe between threads once it is made. Raises ArchiveError for damaged tars and for names that lead out.
    """

    def __init__(self, number: int, chunks: Callable[[], Iterator[bytes]], plain: str, folder: str) -> None:
        self.entries: list[tuple[str, LayerFile]] = []
        self.removed: list[str] = []
        self.opaque: list[str] = []
        self._number = number
        self._chunks = chunks
        self._plain = plain
        self._folder = folder
        self._lock = threading.Lock()
        self._tar = -1
        self._spool = -1
        self._spooled = 0
        self._read()

    def __del__(self) -> None:
        for fd in (self._tar, self._spool):
            if fd >= 0:
                os.close(fd)

    def open(self, file: LayerFile) -> int:
        """A descriptor of the data of a regular file, at its beginning; the caller closes it."""
        source = self._spool if file.sparse else self._whole()
        left, offset = file.node.size, file.offset
        out = os.memfd_create("file") if left <= _IN_MEMORY else self._scratch()
        try:
            while left:
                done = os.sendfile(out, source, offset, left)
                if not done:
                    raise ArchiveError(f"{file.node.name}: the layer ends too early", hint="pull the image again")
                offset += done
                left -= done
            os.lseek(out, 0, os.SEEK_SET)
        except BaseException:
            os.close(out)
            raise
        return out

    def _whole(self) -> int:
        """The plain tar as a file."""
        with self._lock:
            if self._tar < 0:
                if self._plain:
                    self._tar = os.open(self._plain, os.O_RDONLY | os.O_CLOEXEC)
                else:
                    fd = self._scratch()
                    try:
                        for chunk in self._chunks():
                            _write(fd, chunk)
                    except BaseException:
                        os.close(fd)
                        raise
                    self._tar = fd
            return self._tar

    def _scratch(self) -> int:
        return os.open(self._folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)

    def _read(self) -> None:
        first: dict[str, LayerFile] = {}
        for entry in TarReader(self._chunks()):
            name = clean_name(entry.name)
            parent, _, base = name.rpartition(b"/")
            if base == OPAQUE_FILE:
                self.opaque.append(os.fsdecode(parent))
                continue
            path = os.fsdecode(name)
            if base[:_PREFIX] == WHITEOUT_PREFIX:
                gone = base[_PREFIX:]
                if gone in (b"", b".", b".."):
                    raise ArchiveError(f"tar, entry {show(name)!r}: a whiteout of nothing")
                self.removed.append(os.fsdecode(parent + b"/" + gone if parent else gone))
            elif entry.kind == "char" and entry.rdev == 0:
                self.removed.append(path)
            elif not path and entry.kind != "dir":
                raise ArchiveError(f"tar, entry {show(entry.name)!r}: the root can only be a directory")
            else:
                file = self._linked(entry, path, first) if entry.kind == "hardlink" else self._file(entry, path)
                first[path] = file
                self.entries.append((path, file))

    def _file(self, entry: TarEntry, path: str) -> LayerFile:
        kind = entry.kind
        assert kind != "hardlink"
        node = Node(
            path.rpartition("/")[2],
            kind,
            entry.mode,
            entry.uid,
            entry.gid,
            entry.size,
            entry.mtime_ns,
            entry.rdev,
            dev=self._number,
        )
        xattrs = {name: value for name, value in entry.xattrs.items() if wanted(name)} if entry.xattrs else {}
        file = LayerFile(self, node, entry.linkname if kind == "symlink" else "", xattrs, entry.offset + _HEADER)
        if entry.segments is not None:
            self._keep_sparse(file, entry)
        return file

    def _keep_sparse(self, file: LayerFile, entry: TarEntry) -> None:
        """The data of a sparse file do not stand in the tar as they are read: they get a place of their own."""
        if self._spool < 0:
            self._spool = self._scratch()
        file.sparse, file.offset = True, self._spooled
        for at, piece in entry.pieces():
            os.lseek(self._spool, self._spooled + at, os.SEEK_SET)
            _write(self._spool, piece)
        self._spooled += entry.size
        os.ftruncate(self._spool, self._spooled)

    def _linked(self, entry: TarEntry, path: str, first: dict[str, LayerFile]) -> LayerFile:
        """A further name of an earlier file: both are one file from now on."""
        target = first.get(os.fsdecode(clean_name(entry.link)))
        if target is None or target.node.kind == "dir":
            raise ArchiveError(
                f"tar, entry {show(entry.name)!r}: a hard link to {show(entry.link)!r}, which is not there"
            )
        if not target.node.ino:
            target.node = msgspec.structs.replace(target.node, ino=len(self.entries) + 1, nlink=2)
        node = msgspec.structs.replace(target.node, name=path.rpartition("/")[2])
        file = LayerFile(self, node, target.target, target.xattrs, target.offset)
        file.sparse = target.sparse
        return file


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
