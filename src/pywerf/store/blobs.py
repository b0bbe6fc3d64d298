"""Blobs: bytes under their digest, in the `blobs` folder of an OCI image layout (image-layout.md)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO

from pywerf.errors import StoreError
from pywerf.oci.digest import Digest
from pywerf.store.locks import Session

if TYPE_CHECKING:
    import hashlib

__all__ = ["BlobStore", "BlobWriter"]

_CHUNK = 1 << 18


class BlobStore:
    """All blobs of a store; `root` is the OCI layout. Any thread and any process may read and write at once.

    Nothing is synced: what a killed process has written stays, what a loss of power may have damaged
    is found at the first opening after it (`recovery.py`).
    """

    def __init__(self, root: str, session: Session) -> None:
        self.root = root
        self._folder = f"{root}/blobs"
        self._session = session

    def path(self, digest: Digest) -> str:
        """Where the blob is, or would be."""
        return f"{self._folder}/{digest.algorithm}/{digest.hex}"

    def has(self, digest: Digest) -> int | None:
        """The blob's size in bytes, or None when it is not here."""
        try:
            return os.stat(self.path(digest)).st_size
        except FileNotFoundError:
            return None

    def open(self, digest: Digest) -> BinaryIO:
        """The blob as a binary file, unbuffered, which the caller closes. Raises StoreError when it is not here."""
        try:
            return open(self.path(digest), "rb", buffering=0)
        except FileNotFoundError as error:
            raise self._missing(digest) from error

    def read(self, digest: Digest) -> bytes:
        """The whole of a small blob. Raises StoreError when it is not here."""
        with self.open(digest) as file:
            return file.read()

    def chunks(self, digest: Digest, size: int = _CHUNK) -> Iterator[bytes]:
        """The blob in pieces of up to `size` bytes. Raises StoreError, at once, when it is not here."""
        return _chunks(self.open(digest), size)

    def writer(self, *, hashing: bool = False) -> BlobWriter:
        """A new blob that is being written, a context manager.

        `hashing` computes the digest while it is written: right where the caller has no digest by the end.
        """
        return BlobWriter(self, self._session.new_path("blob"), hashing)

    def put(self, data: bytes) -> Digest:
        """Store a small blob. Idempotent."""
        digest = Digest.of(data)
        if self.touch(digest, len(data)):
            return digest
        with self.writer() as writer:
            writer.write(data)
            writer.commit(digest)
        return digest

    def touch(self, digest: Digest, size: int) -> bool:
        """Whether the blob is here with that size; makes it look newly written, so that it is not collected now."""
        path = self.path(digest)
        try:
            if os.stat(path).st_size != size:
                return False
            os.utime(path)
        except FileNotFoundError:
            return False
        return True

    def delete(self, digest: Digest) -> None:
        """Remove the blob. Idempotent; whoever has it open reads on."""
        try:
            os.unlink(self.path(digest))
        except FileNotFoundError:
            pass

    def list(self) -> Iterator[tuple[Digest, int, float]]:
        """Digest, size and modification time (seconds) of every blob, in no order."""
        for algorithm in sorted(os.listdir(self._folder)):
            with os.scandir(f"{self._folder}/{algorithm}") as entries:
                for entry in entries:
                    try:
                        st = entry.stat(follow_symlinks=False)
                    except FileNotFoundError:
                        continue
                    yield Digest(algorithm, entry.name), st.st_size, st.st_mtime

    def _missing(self, digest: Digest) -> StoreError:
        return StoreError(f"blob {digest} is not in the store", hint="pull or build the image again")


class BlobWriter:
    """A blob in the making. Leaving the context without `commit` removes what was written."""

    __slots__ = ("_committed", "_fd", "_hash", "_path", "_store", "size")

    def __init__(self, store: BlobStore, path: str, hashing: bool) -> None:
        self._store = store
        self._path = path
        self._committed = False
        self.size = 0
        self._hash: hashlib._Hash | None = None
        if hashing:
            import hashlib

            self._hash = hashlib.sha256()
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise StoreError(f"cannot write to the store: {error}") from error

    def write(self, chunk: bytes | bytearray | memoryview) -> int:
        """Append. Raises StoreError (no room, …)."""
        if self._hash is not None:
            self._hash.update(chunk)
        length = len(chunk)
        try:
            done = os.write(self._fd, chunk)
            if done != length:
                rest = memoryview(chunk)[done:]
                while rest:
                    rest = rest[os.write(self._fd, rest) :]
        except OSError as error:
            raise StoreError(f"cannot write to the store: {error}", hint="make room on the disk") from error
        self.size += length
        return length

    def commit(self, digest: Digest | None = None) -> tuple[Digest, int]:
        """Make the blob visible under its digest; returns digest and size. Atomic.

        A `digest` that is given is trusted: the caller has computed or verified it. Without one it is what was
        computed while writing (`hashing`), else what reading the file again gives. A blob that is there
        already stays, and counts as newly written.
        """
        if digest is None:
            digest = Digest.sha256(self._hash.hexdigest()) if self._hash is not None else self._hash_again()
        if not self._store.touch(digest, self.size):
            path = self._store.path(digest)
            try:
                try:
                    os.rename(self._path, path)
                except FileNotFoundError:
                    os.makedirs(os.path.dirname(path), exist_ok=True)
                    os.rename(self._path, path)
            except OSError as error:
                raise StoreError(f"cannot write to the store: {error}") from error
            self._committed = True
        return digest, self.size

    def _hash_again(self) -> Digest:
        def chunks() -> Iterator[bytes]:
            at = 0
            while chunk := os.pread(self._fd, _CHUNK, at):
                yield chunk
                at += len(chunk)

        return Digest.of_chunks(chunks())

    def __enter__(self) -> BlobWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.close(self._fd)
        if not self._committed:
            try:
                os.unlink(self._path)
            except FileNotFoundError:
                pass


def _chunks(file: BinaryIO, size: int) -> Iterator[bytes]:
    with file:
        while chunk := file.read(size):
            yield chunk
