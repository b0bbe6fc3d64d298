"""Blobs and documents in folders: reading with checks, writing atomically. What oci: and dir: share."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Iterable, Iterator

from pywerf.errors import RegistryNotFound, StoreError
from pywerf.oci.descriptor import Descriptor
from pywerf.oci.digest import Digest
from pywerf.registry.verify import MAX_DOCUMENT, verified

__all__ = ["open_regular", "read_chunks", "read_file_blob", "read_small", "write_blob", "write_file", "write_stream"]

CHUNK = 1 << 20


def open_regular(path: str, what: str) -> int:
    """A descriptor of a regular file; anything else (a fifo would hang, a device is nobody's image) is an error."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        raise RegistryNotFound(f"{what}: no such file ({path})") from None
    except OSError as error:
        raise StoreError(f"{path}: {(error.strerror or str(error)).lower()}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise StoreError(f"{path}: not a regular file")
    return descriptor


def read_small(path: str, what: str, limit: int = MAX_DOCUMENT) -> bytes:
    """A whole document. Raises RegistryNotFound, and StoreError when it is longer than `limit` bytes."""
    with open(open_regular(path, what), "rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise StoreError(f"{path}: longer than {limit} bytes")
    return data


def read_chunks(descriptor: int, start: int = 0, size: int = -1) -> Iterator[bytes]:
    """`size` bytes (-1: all) of an open file from `start` on; its position is not used, so threads may share it."""
    position, end = start, start + size
    while size < 0 or position < end:
        chunk = os.pread(descriptor, CHUNK if size < 0 else min(CHUNK, end - position), position)
        if not chunk:
            return
        position += len(chunk)
        yield chunk


def read_file_blob(path: str, descriptor: Descriptor, what: str) -> Iterator[bytes]:
    """Verified chunks of a blob in a file of its own."""
    with open(open_regular(path, what), "rb", buffering=0) as file:
        yield from verified(read_chunks(file.fileno()), descriptor, what)


def write_file(path: str, data: bytes) -> None:
    """Replace a file as a whole: others see the old one or the new one."""
    with _replacing(os.path.dirname(path)) as (descriptor, finish):
        _write_all(descriptor, data)
        finish.append(path)


def write_blob(path: str, descriptor: Descriptor, chunks: Iterable[bytes], what: str) -> None:
    """Store a blob of known digest; nothing is left when it is not what it should be."""
    with _replacing(os.path.dirname(path)) as (file, finish):
        for chunk in verified(chunks, descriptor, what):
            _write_all(file, chunk)
        finish.append(path)


def write_stream(folder: str, chunks: Iterable[bytes]) -> tuple[Digest, int]:
    """Store a blob of unknown digest as `folder/HEX`; its digest and size."""
    state = hashlib.sha256()
    size = 0
    with _replacing(folder) as (file, finish):
        for chunk in chunks:
            state.update(chunk)
            size += len(chunk)
            _write_all(file, chunk)
        finish.append(os.path.join(folder, state.hexdigest()))
    return Digest.sha256(state.hexdigest()), size


@contextlib.contextmanager
def _replacing(folder: str) -> Iterator[tuple[int, list[str]]]:
    """A temporary file that gets the name which the block appends to the list; it vanishes when there is none."""
    import tempfile

    temporary = ""
    try:
        os.makedirs(folder, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix=".tmp-", dir=folder)
    except OSError as error:
        raise StoreError(f"{folder}: {(error.strerror or str(error)).lower()}") from error
    finish: list[str] = []
    try:
        yield descriptor, finish
        os.fchmod(descriptor, 0o644)
        os.fsync(descriptor)
        os.replace(temporary, finish[0])
        temporary = ""
    except OSError as error:
        raise StoreError(f"{folder}: {(error.strerror or str(error)).lower()}") from error
    finally:
        os.close(descriptor)
        if temporary:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
