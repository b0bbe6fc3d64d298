"""Writing archives of images: tar entries with fixed headers, into a file that appears as a whole, or into a stream."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterable
from typing import IO, Protocol

from pywerf.errors import StoreError
from pywerf.registry.places import read_chunks
from pywerf.registry.tar_index import spool
from pywerf.registry.verify import exactly

__all__ = ["FileTarWriter", "NewFile", "StreamTarWriter", "TarWriter", "gzip_tar_writer"]

BLOCK = 512
END = bytes(2 * BLOCK)


class TarWriter(Protocol):
    """Takes the files of an archive one after the other. One thread at a time."""

    def add(self, name: str, size: int, chunks: Iterable[bytes]) -> None:
        """A file of known size."""

    def add_unknown(self, chunks: Iterable[bytes], name: Callable[[], str | None]) -> int:
        """A file whose size and name are known at its end (None: leave it out after all); its size."""

    def finish(self) -> None:
        """The end of the archive: from now on it is there."""

    def abandon(self) -> None:
        """Leave nothing behind. Idempotent, and without effect after `finish`."""


def header(name: str, size: int) -> bytes:
    """The header of a regular file: the same for the same name and size, whoever writes it when."""
    import tarfile

    info = tarfile.TarInfo(name)
    info.size = size
    info.mode = 0o644
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")


def padding(size: int) -> bytes:
    """What fills the last block of a file."""
    return bytes(-size % BLOCK)


class NewFile:
    """A file to write: temporary until `finish`, then renamed. `abandon` it otherwise.

    A target that is no regular file (`/dev/stdout`, a pipe) gets the finished content as a stream.
    """

    def __init__(self, path: str) -> None:
        import tempfile

        self.path = path
        self._temporary = ""
        self.file: IO[bytes]
        try:
            special = os.path.exists(path) and not stat.S_ISREG(os.stat(path).st_mode)
            if special and os.path.isdir(path):
                raise StoreError(f"{path}: is a folder", hint="name a file")
            if special:
                self.file = spool(())
            else:
                folder = os.path.dirname(os.path.abspath(path))
                descriptor, self._temporary = tempfile.mkstemp(prefix=".tmp-", dir=folder)
                self.file = open(descriptor, "w+b")  # noqa: SIM115 - it lives as long as this object
        except OSError as error:
            raise self.failed(error) from error

    def finish(self) -> None:
        """Give the file its name. Raises StoreError."""
        try:
            self.file.flush()
            if not self._temporary:
                with open(self.path, "wb", buffering=0) as target:
                    for chunk in read_chunks(self.file.fileno()):
                        target.write(chunk)
                return
            os.fchmod(self.file.fileno(), 0o644)
            os.fsync(self.file.fileno())
            os.replace(self._temporary, self.path)
            self._temporary = ""
        except OSError as error:
            raise self.failed(error) from error
        finally:
            self.file.close()

    def abandon(self) -> None:
        """Remove the temporary file. Idempotent, and without effect after `finish`."""
        if hasattr(self, "file"):
            with contextlib.suppress(OSError):  # what is buffered has no room: it is not wanted any more
                self.file.close()
        if self._temporary:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._temporary)
            self._temporary = ""

    def failed(self, error: OSError) -> StoreError:
        """The error that is raised for one of the system's; nothing is left behind."""
        self.abandon()
        return StoreError(f"{self.path}: {(error.strerror or str(error)).lower()}")


class FileTarWriter:
    """An archive in a file, which appears as a whole (NewFile). What fails in the middle is cut off again."""

    def __init__(self, path: str, what: str) -> None:
        self.what = what
        self._target = NewFile(path)
        self._file = self._target.file

    def add(self, name: str, size: int, chunks: Iterable[bytes]) -> None:
        """TarWriter: write it; the file is as before when the chunks fail."""
        start = self._file.tell()
        try:
            self._file.write(header(name, size))
            for chunk in exactly(chunks, size, name):
                self._file.write(chunk)
            self._file.write(padding(size))
        except OSError as error:
            raise self._target.failed(error) from error
        except BaseException:
            self._cut(start)
            raise

    def add_unknown(self, chunks: Iterable[bytes], name: Callable[[], str | None]) -> int:
        """TarWriter: write it, then its header before it."""
        start = self._file.tell()
        size = 0
        try:
            self._file.write(bytes(BLOCK))
            for chunk in chunks:
                self._file.write(chunk)
                size += len(chunk)
            final = name()
            if final is None:
                self._cut(start)
                return size
            data = header(final, size)
            if len(data) != BLOCK:
                raise StoreError(f"{self.what}: {final!r} is too long a name")
            self._file.write(padding(size))
            end = self._file.tell()
            self._file.seek(start)
            self._file.write(data)
            self._file.seek(end)
        except OSError as error:
            raise self._target.failed(error) from error
        except BaseException:
            self._cut(start)
            raise
        return size

    def finish(self) -> None:
        """TarWriter: write the end, and give the file its name."""
        try:
            self._file.write(END)
        except OSError as error:
            raise self._target.failed(error) from error
        self._target.finish()

    def abandon(self) -> None:
        """TarWriter: remove the temporary file."""
        self._target.abandon()

    def _cut(self, start: int) -> None:
        self._file.seek(start)
        self._file.truncate()


class StreamTarWriter:
    """An archive that is sent as it is made: `write` takes its bytes. What fails in the middle breaks it."""

    def __init__(self, write: Callable[[bytes], None], end: Callable[[], None], abort: Callable[[], None]) -> None:
        self._write = write
        self._end = end
        self._abort = abort
        self._open = True

    def add(self, name: str, size: int, chunks: Iterable[bytes]) -> None:
        """TarWriter: send it."""
        try:
            self._write(header(name, size))
            for chunk in exactly(chunks, size, name):
                self._write(chunk)
            self._write(padding(size))
        except BaseException:
            self.abandon()
            raise

    def add_unknown(self, chunks: Iterable[bytes], name: Callable[[], str | None]) -> int:
        """TarWriter: keep it in a temporary file until its size is known, then send it."""
        with spool(chunks) as file:
            size = os.fstat(file.fileno()).st_size
            final = name()
            if final is not None:
                self.add(final, size, read_chunks(file.fileno()))
            return size

    def finish(self) -> None:
        """TarWriter: send the end."""
        if self._open:
            self._open = False
            self._write(END)
            self._end()

    def abandon(self) -> None:
        """TarWriter: break the stream off."""
        if self._open:
            self._open = False
            self._abort()


def gzip_tar_writer(path: str) -> StreamTarWriter:
    """An archive in a file that gzip compresses, and that appears as a whole (NewFile).

    It compresses as fast as it can: the layers in it are compressed already.
    """
    from isal import isal_zlib

    target = NewFile(path)
    packer = isal_zlib.compressobj(1, isal_zlib.DEFLATED, 31)

    def write(data: bytes) -> None:
        try:
            target.file.write(packer.compress(data))
        except OSError as error:
            raise target.failed(error) from error

    def end() -> None:
        try:
            target.file.write(packer.flush())
        except OSError as error:
            raise target.failed(error) from error
        target.finish()

    return StreamTarWriter(write, end, target.abandon)
