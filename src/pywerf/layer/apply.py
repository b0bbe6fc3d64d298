"""Unpacking a layer into a directory, whatever its archive tries: nothing is touched outside of that directory.

What an entry's parents are is asked of the kernel, with openat2(2) and the directory as root; everything
else happens relative to the descriptors that it gives, and never follows a link.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Literal

import msgspec

from pywerf.errors import ArchiveError
from pywerf.layer.lower import OPAQUE_FILE, LowerView
from pywerf.layer.pump import prefetch
from pywerf.layer.tar_format import show
from pywerf.layer.tar_read import TarReader
from pywerf.layer.tar_write import WHITEOUT_PREFIX
from pywerf.layer.unpack import OwnerMap, Unpacker, clean_name
from pywerf.layer.whiteout import OverlayMarks, Removals, Whiteouts
from pywerf.layer.xattrs import OVERLAY_OPAQUE, read_xattrs
from pywerf.linux import owners
from pywerf.linux.openat2 import open_in_root
from pywerf.oci.digest import Digest

__all__ = ["AppliedLayer", "LayerForm", "apply_layer", "inherit_directories"]

LayerForm = Literal["overlay", "plain"]

_PREFIX = len(WHITEOUT_PREFIX)
_PROGRESS = 4 << 20


class AppliedLayer(msgspec.Struct, frozen=True):
    """What was unpacked: `diff_id` and `size` of the tar, and how many `entries` it had.

    `implicit`: directories that had to be made for what is in them, without an entry that says their
    owner and mode (see `inherit_directories`). `skipped_devices`: device nodes that were not made, as asked.
    """

    diff_id: Digest
    size: int
    entries: int
    implicit: tuple[str, ...] = ()
    skipped_devices: int = 0


def apply_layer(
    chunks: Iterable[bytes],
    root: str,
    *,
    form: LayerForm,
    overlay_xattr: Literal["trusted", "user"] = "trusted",
    owner_map: OwnerMap | None = None,
    skip_devices: bool = False,
    progress: Callable[[int], object] | None = None,
) -> AppliedLayer:
    """Unpack a layer's plain tar (see compress.decompress) into `root`, an existing directory.

    `form` "overlay": `root` holds this layer alone, removals are left there as overlay's whiteouts and opaque marks
    (in `overlay_xattr`'s namespace). "plain": `root` holds everything below, removals are carried out.
    `owner_map` says who owns what belongs to (uid, gid): a pair, or None for whoever unpacks.
    `progress` is told how many bytes of the tar are done, now and then.
    Raises ArchiveError for damaged archives, for entries that cannot be made, and for names that lead out.
    What was unpacked until then stays.
    """
    state = hashlib.sha256()
    size = 0

    def counted() -> Iterator[bytes]:
        nonlocal size
        for chunk in chunks:
            state.update(chunk)
            size += len(chunk)
            yield chunk

    mark = f"{overlay_xattr}.overlay.opaque" if form == "overlay" else ""
    # The digest is made on the thread that reads ahead; it is complete once the reader has come to the end.
    with contextlib.closing(prefetch(counted(), name="layer-read")) as ahead:
        reader = TarReader(ahead)
        with Unpacker(root, owner_map=owner_map, skip_devices=skip_devices, opaque_mark=mark) as unpacker:
            whiteouts: Whiteouts = OverlayMarks(unpacker) if form == "overlay" else Removals(unpacker)
            entries = _apply(reader, unpacker, whiteouts, progress)
            unpacker.finish()
        reader.drain()
    if progress is not None:
        progress(size)
    implicit = tuple(sorted(os.fsdecode(path) for path in unpacker.implicit))
    return AppliedLayer(Digest.sha256(state.hexdigest()), size, entries, implicit, unpacker.skipped_devices)


def _apply(
    reader: TarReader, unpacker: Unpacker, whiteouts: Whiteouts, progress: Callable[[int], object] | None
) -> int:
    count = 0
    next_report = _PROGRESS
    remember = isinstance(whiteouts, Removals)
    for entry in reader:
        count += 1
        name = entry.name
        if name[-1:] == b"/":
            name = name[:-1]
        if name[:2] == b"./":
            name = name[2:]  # as `tar -c .` has them all
        if b"./" in name or b"//" in name or name[:1] == b"/" or name[-1:] in (b".", b"/"):
            name = clean_name(name)
        parent, _, base = name.rpartition(b"/")
        try:
            if base[:_PREFIX] == WHITEOUT_PREFIX:
                if base == OPAQUE_FILE:
                    whiteouts.opaque(parent)
                else:
                    whiteouts.remove(parent, _removed(base[_PREFIX:], name))
            elif entry.kind == "char" and entry.rdev == 0:
                whiteouts.remove(parent, base)  # what overlay would take it for, in any form
            else:
                unpacker.put(parent, base, entry, reader)
                if remember:
                    whiteouts.made(name)
        except OSError as error:
            raise unpacker.failed(name, error) from error
        if progress is not None and entry.offset >= next_report:
            progress(entry.offset)
            next_report = entry.offset + _PROGRESS
    return count


def _removed(base: bytes, name: bytes) -> bytes:
    """The name that a whiteout removes."""
    if base in (b"", b".", b".."):
        raise ArchiveError(f"tar, entry {show(name)!r}: a whiteout of nothing")
    return base


def inherit_directories(
    root: str,
    paths: Iterable[str],
    lowers: Sequence[str],
    *,
    opaque_xattrs: Collection[str] = OVERLAY_OPAQUE,
) -> None:
    """Give an unpacked overlay layer's `implicit` directories what they have in the layers below (nearest first).

    Without it they would hide the owner, mode, time and xattrs that the directories have there. What is no
    directory below stays as it was made. Idempotent. Raises ArchiveError.
    """
    view = LowerView([os.fsencode(lower) for lower in lowers], opaque_xattrs)
    top = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for path in paths:
            below = view.find(os.fsencode(path))
            if below is None or not stat.S_ISDIR(below.status.st_mode):
                continue
            fd = open_in_root(top, os.fsencode(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                status = below.status
                owners.set_owner(fd, status.st_uid, status.st_gid)
                for name, value in read_xattrs(below.path).items():
                    os.setxattr(fd, name, value)
                os.fchmod(fd, status.st_mode & 0o7777)
                os.utime(fd, ns=(status.st_mtime_ns, status.st_mtime_ns))
            finally:
                os.close(fd)
    except OSError as error:
        raise ArchiveError(f"{root}: cannot complete the directories of the layer: {error.strerror}") from error
    finally:
        os.close(top)
