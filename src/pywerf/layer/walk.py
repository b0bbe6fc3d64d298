"""The walk over a new tree that finds what a layer has to hold; `diff.py` says what it is used for.

Names are bytes here, relative names of directories end with a slash, and so do the paths of folders.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, TypeAlias

from pywerf.errors import ArchiveError
from pywerf.layer.batches import MANY, Batches
from pywerf.layer.lower import LowerEntry, LowerView, is_gone, same_content
from pywerf.layer.pack import OPEN
from pywerf.layer.tar_format import show
from pywerf.layer.tar_write import WHITEOUT_PREFIX, TarWriter
from pywerf.layer.xattrs import is_whiteout_mark, list_xattrs, read_xattrs
from pywerf.linux import owners
from pywerf.linux.devices import device_of

if TYPE_CHECKING:
    from pywerf.layer.pack import Linked

__all__ = ["Walk"]

_PREFIX = len(WHITEOUT_PREFIX)
_NEVER = -(1 << 63)

# A folder being walked: gives the folders in it, one after the other.
_Folder: TypeAlias = "Iterator[_Folder]"


class Walk:
    """One walk, into one writer. `readers`, `many`: when other processes read files, too (see `Batches`)."""

    def __init__(
        self,
        writer: TarWriter,
        view: LowerView,
        ignore: Collection[str] = (),
        *,
        overlay: bool = False,
        whiteout_files: bool = False,
        whiteout_names: bool = False,
        since_ns: int | None = None,
        readers: int | None = None,
        many: int = MANY,
    ) -> None:
        self.whiteouts = 0
        self._writer = writer
        self._readers = readers
        self._many = many
        self._batches: Batches
        self._view = view
        self._ignore = frozenset(os.fsencode(path.strip("/")) for path in ignore)
        self._ignore_parents = frozenset(path.rpartition(b"/")[0] for path in self._ignore)
        self._overlay = overlay
        self._whiteout_files = whiteout_files
        self._whiteout_names = whiteout_names
        self._since_ns = _NEVER if since_ns is None else since_ns
        # Directories that only stand in the layer when something in them does, outermost first.
        self._pending: list[tuple[bytes, os.stat_result, dict[str, bytes]]] = []
        self._links: dict[tuple[int, int], bytes] = {}
        self._names: dict[tuple[int, int], list[bytes]] | None = None
        self._root = b""

    def run(self, root: bytes, *, root_entry: bool) -> None:
        """Walk `root`. Raises ArchiveError for files that cannot be read, or that a layer cannot hold."""
        self._root = root.rstrip(b"/") + b"/"
        try:
            batches = Batches(self._writer, self._root, self._left_over, readers=self._readers, many=self._many)
            with batches as self._batches:
                self._walk(root_entry)
                self._batches.finish()
        except OSError as error:
            where = os.fsencode(error.filename) if isinstance(error.filename, str | bytes) else b""
            if not where.startswith((self._root, *self._view.roots)):
                raise  # of the writer's sink
            raise ArchiveError(f"cannot read {show(where)} for the layer: {error.strerror}") from error

    def _walk(self, root_entry: bool) -> None:
        if root_entry:
            self._put_root()
        # Folders are generators on a stack of our own: trees may be deeper than Python's.
        stack = [self._folder(self._root, b"", self._view.roots, trusted=True, whole=not self._overlay)]
        while stack:
            deeper = next(stack[-1], None)
            if deeper is None:
                stack.pop()
            else:
                stack.append(deeper)

    def _folder(self, path: bytes, rel: bytes, lowers: list[bytes], *, trusted: bool, whole: bool) -> _Folder:
        """The walk through one directory; `lowers` are the ones below that it is compared with.

        `trusted`: no folder above it can have been moved there since `since_ns`. `whole`: it shows nothing of them,
        since all in it is its own, or since a folder above it is opaque (overlay marks only the highest).
        """
        if lowers or rel[:-1] in self._ignore_parents or rel[:-1] in self._ignore:
            return self._merged(path, rel, lowers, trusted, whole)
        return self._fresh(path, rel)

    def _fresh(self, path: bytes, rel: bytes) -> _Folder:
        """A directory with nothing below it, itself already written: the hot path."""
        with os.scandir(path) as scan:
            found = [(entry.name, entry) for entry in scan]
        found.sort()
        files: list[bytes] = []  # found one after the other
        for name, entry in found:
            if name[:_PREFIX] == WHITEOUT_PREFIX and self._is_mark(rel + name):
                continue
            if entry.is_file(follow_symlinks=False):
                files.append(name)
                continue
            if files:
                self._batches.put(rel, files)
                files = []
            if entry.is_dir(follow_symlinks=False):
                here = path + name + b"/"
                self._put_directory(rel + name + b"/", owners.lstat(here), read_xattrs(here))
                yield self._folder(here, rel + name + b"/", [], trusted=False, whole=True)
            else:
                status = entry.stat(follow_symlinks=False)
                if not is_gone(status):
                    self._put_special(path + name, rel + name, owners.seen(path + name, status))
        if files:
            self._batches.put(rel, files)

    def _merged(self, path: bytes, rel: bytes, lowers: list[bytes], trusted: bool, whole: bool) -> _Folder:
        """A directory that merges with others below, or in which mount points are to be ignored."""
        found: dict[bytes, os.DirEntry[bytes]] = {}
        removed: set[bytes] = set()
        with os.scandir(path) as scan:
            for entry in scan:
                if entry.name[:_PREFIX] == WHITEOUT_PREFIX and self._is_mark(rel + entry.name):
                    # fuse-overlayfs leaves a device `.wh..opq` beside its `.wh..wh..opq`: no removal of `.opq`.
                    if entry.is_file(follow_symlinks=False):
                        removed.add(entry.name[_PREFIX:])
                elif self._is_removal(entry):
                    removed.add(entry.name)
                else:
                    found[entry.name] = entry
        removed -= found.keys()
        whole = whole or bool(lowers and self._view.is_opaque(path))
        if whole:
            below = self._view.entries(lowers, None)
            removed = below.keys() - found.keys()
        else:
            below = self._view.entries(lowers, found.keys() | removed)
            removed &= below.keys()
        todo: list[tuple[bytes, os.DirEntry[bytes] | None]] = [*found.items()]
        todo += [(WHITEOUT_PREFIX + name, None) for name in removed]
        todo.sort(key=_first)
        files: list[bytes] = []  # new ones, found one after the other
        for name, item in todo:
            is_new = item is not None and name not in below and item.is_file(follow_symlinks=False)
            if is_new and rel + name not in self._ignore:
                self._flush()
                files.append(name)
                continue
            if files:
                self._batches.put(rel, files)
                files = []
            if item is None:
                self._flush()
                self._batches.between.put_whiteout(rel + name[_PREFIX:])
                self.whiteouts += 1
            elif not item.is_dir(follow_symlinks=False):
                status = owners.seen(path + name, item.stat(follow_symlinks=False))
                self._file(path + name, rel + name, status, below.get(name), trusted)
            else:
                waiting = len(self._pending)
                yield self._directory(path + name + b"/", rel + name + b"/", below.get(name), trusted, whole)
                del self._pending[waiting:]  # nothing in it asked for it
        if files:
            self._batches.put(rel, files)

    def _is_mark(self, name: bytes) -> bool:
        """Whether a `.wh.` name is a removal; raises ArchiveError where it is a file that a layer cannot hold."""
        if self._whiteout_files:
            return True
        if self._whiteout_names:
            return False
        raise ArchiveError(
            f"{show(name)}: a layer cannot hold a file of this name: it would remove another one",
            hint="names that begin with .wh. mean removal in OCI and Docker layers; rename or delete the file",
        )

    def _is_removal(self, entry: os.DirEntry[bytes]) -> bool:
        """Whether an upper entry stands for nothing."""
        if entry.is_dir(follow_symlinks=False) or entry.is_symlink():
            return False
        if not entry.is_file(follow_symlinks=False):
            return is_gone(entry.stat(follow_symlinks=False))
        if not self._overlay or entry.stat(follow_symlinks=False).st_size:
            return False
        return is_whiteout_mark(list_xattrs(entry.path))

    def _directory(self, path: bytes, rel: bytes, below: LowerEntry | None, trusted: bool, whole: bool) -> _Folder:
        """Write a directory now or, when it did not change by itself, once something in it is written."""
        status = owners.lstat(path)
        xattrs = read_xattrs(path)
        trusted = trusted and status.st_ctime_ns < self._since_ns
        if below is None:
            changed = rel[:-1] not in self._ignore
        else:
            old = below.status
            changed = (
                not stat.S_ISDIR(old.st_mode)
                or status.st_mode != old.st_mode
                or status.st_uid != old.st_uid
                or status.st_gid != old.st_gid
                # Making a mount point in it changed its time.
                or (status.st_mtime_ns != old.st_mtime_ns and rel[:-1] not in self._ignore_parents)
                or xattrs != read_xattrs(below.path)
            )
        if changed:
            self._put_directory(rel, status, xattrs)
        else:
            self._pending.append((rel, status, xattrs))
        lowers = below.folders if below is not None else []
        return self._folder(path, rel, lowers, trusted=trusted, whole=whole)

    def _file(self, path: bytes, rel: bytes, status: os.stat_result, below: LowerEntry | None, trusted: bool) -> None:
        """Write anything but a directory, unless it is as it was."""
        if below is None:
            if rel in self._ignore and stat.S_ISREG(status.st_mode) and status.st_size == 0:
                return
        elif self._unchanged(path, status, below, trusted) and not (
            status.st_nlink > 1 and self._linked_anew(status, below.status)
        ):
            return
        self._flush()
        if not stat.S_ISREG(status.st_mode):
            self._put_special(path, rel, status)
            return
        folder, slash, name = rel.rpartition(b"/")
        self._batches.put(folder + slash, [name])

    def _left_over(self, name: bytes, linked: Linked | None) -> None:
        """Write a file that is no matter of course, or raise why it cannot be read."""
        if linked is not None:
            dev, ino, mode, uid, gid, mtime_ns, entry = linked
            first = self._links.get((dev, ino))
            if first is not None:
                self._writer.put(name, b"1", mode, uid, gid, 0, mtime_ns, first)
                return
            if entry:
                self._links[dev, ino] = name
                self._writer.put_made(entry, 1)
                return
        fd = os.open(self._root + name, OPEN)
        try:
            status = os.fstat(fd)
            attributes = list_xattrs(fd)
            if not (self._overlay and status.st_size == 0 and is_whiteout_mark(attributes)):
                self._put_file(name, owners.seen(fd, status), fd, read_xattrs(fd, attributes))
        finally:
            os.close(fd)

    def _unchanged(self, path: bytes, status: os.stat_result, below: LowerEntry, trusted: bool) -> bool:
        old = below.status
        if (
            status.st_mode != old.st_mode
            or status.st_uid != old.st_uid
            or status.st_gid != old.st_gid
            or status.st_size != old.st_size
            or status.st_mtime_ns != old.st_mtime_ns
            or status.st_rdev != old.st_rdev
        ):
            return False
        if trusted and status.st_ctime_ns < self._since_ns:
            return True
        if stat.S_ISLNK(status.st_mode):
            return os.readlink(path) == os.readlink(below.path)
        if not stat.S_ISREG(status.st_mode):
            return True
        if not status.st_size and device_of(path) != device_of(below.path):
            return False
        return read_xattrs(path) == read_xattrs(below.path) and same_content(path, below.path)

    def _linked_anew(self, status: os.stat_result, old: os.stat_result) -> bool:
        """Whether an unchanged file has got a name more: then the layer must hold it, for the new name to link to."""
        if self._names is None:
            self._names = _linked_names(self._root)
        for name in self._names.get((status.st_dev, status.st_ino), ()):
            below = self._view.find(name)
            if below is None or (below.status.st_dev, below.status.st_ino) != (old.st_dev, old.st_ino):
                return True
        return False

    def _flush(self) -> None:
        """Write the directories that waited for something in them."""
        if self._pending:
            for name, status, xattrs in self._pending:
                _put(self._batches.between, name, b"5", status, xattrs=xattrs)
            self._pending.clear()

    def _put_root(self) -> None:
        """`./`, when the root itself has other properties than below (than 0755 root:root where nothing is below)."""
        status = owners.lstat(self._root)
        xattrs = read_xattrs(self._root)
        now = (status.st_mode, status.st_uid, status.st_gid, xattrs)
        if self._view.roots:
            old = owners.lstat(self._view.roots[0])
            before = (old.st_mode, old.st_uid, old.st_gid, read_xattrs(self._view.roots[0]))
        else:
            before = (stat.S_IFDIR | 0o755, 0, 0, {})
        if now != before:
            _put(self._batches.between, b"./", b"5", status, xattrs=xattrs)

    def _put_directory(self, name: bytes, status: os.stat_result, xattrs: dict[str, bytes]) -> None:
        self._flush()
        _put(self._batches.between, name, b"5", status, xattrs=xattrs)

    def _put_file(self, name: bytes, status: os.stat_result, fd: int, xattrs: dict[str, bytes]) -> None:
        if status.st_nlink > 1 and self._put_link(self._writer, name, status):
            return
        device = None if status.st_size else device_of(fd)
        if device is not None:
            _put(self._writer, name, b"3" if device[0] == stat.S_IFCHR else b"4", status, rdev=device[1])
            return
        self._writer.file(
            os.fsdecode(name),
            status.st_mode & 0o7777,
            status.st_uid,
            status.st_gid,
            status.st_mtime_ns,
            status.st_size,
            fd,
            xattrs,
        )

    def _put_special(self, path: bytes, name: bytes, status: os.stat_result) -> None:
        writer = self._batches.between
        if status.st_nlink > 1 and self._put_link(writer, name, status):
            return
        mode = status.st_mode
        if stat.S_ISLNK(mode):
            _put(writer, name, b"2", status, link=os.readlink(path))
        elif stat.S_ISFIFO(mode):
            _put(writer, name, b"6", status)
        else:
            _put(writer, name, b"3" if stat.S_ISCHR(mode) else b"4", status, rdev=status.st_rdev)

    def _put_link(self, writer: TarWriter, name: bytes, status: os.stat_result) -> bool:
        """Write a further name of a file that is in the layer; False for the first name."""
        key = (status.st_dev, status.st_ino)
        first = self._links.setdefault(key, name)
        if first is name:
            return False
        _put(writer, name, b"1", status, link=first)
        return True


def _put(
    writer: TarWriter,
    name: bytes,
    kind: bytes,
    status: os.stat_result,
    *,
    link: bytes = b"",
    rdev: int = 0,
    xattrs: dict[str, bytes] | None = None,
) -> None:
    mode, uid, gid = status.st_mode & 0o7777, status.st_uid, status.st_gid
    writer.put(name, kind, mode, uid, gid, 0, status.st_mtime_ns, link, rdev, xattrs)


def _first(item: tuple[bytes, object]) -> bytes:
    return item[0]


def _linked_names(root: bytes) -> dict[tuple[int, int], list[bytes]]:
    """The names (relative to `root`) of everything in a tree that has more than one."""
    names: dict[tuple[int, int], list[bytes]] = {}
    folders = [b""]
    while folders:
        folder = folders.pop()
        with os.scandir(root + folder) as scan:
            for entry in scan:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(folder + entry.name + b"/")
                    continue
                status = entry.stat(follow_symlinks=False)
                if status.st_nlink > 1:
                    names.setdefault((status.st_dev, status.st_ino), []).append(folder + entry.name)
    return names
