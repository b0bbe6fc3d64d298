"""Reading archives of images: where each file is in the tar, so that it can be read in any order, by any thread."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Iterator
from typing import IO, Any

from pywerf.errors import ArchiveError, RegistryNotFound, StoreError
from pywerf.oci.descriptor import Descriptor
from pywerf.registry.decompress import MAGIC_LENGTH, compression_of, decompressed
from pywerf.registry.places import read_chunks
from pywerf.registry.verify import MAX_DOCUMENT, verified

__all__ = ["MAX_MEMBERS", "TarIndex", "spool"]

# More than any image has; the index of a hostile archive must not fill the memory.
MAX_MEMBERS = 100_000
MAX_HEADER = 1 << 20
MAX_LINKS = 20


class TarIndex:
    """The regular files of a tar, by name. Links among them are followed; nothing is unpacked."""

    _file = -1

    def __init__(self, file: IO[bytes], what: str) -> None:
        """Index an uncompressed tar that can seek; the file is closed. Raises ArchiveError."""
        self.what = what
        # a descriptor of our own: nobody is asked to close an ImageSource, and a file object would complain
        self._file = os.dup(file.fileno())
        self._members: dict[str, tuple[int, int]] = {}
        self._links: dict[str, str] = {}
        with file:
            self._scan(file)

    def __del__(self) -> None:
        self.close()

    @classmethod
    def open(cls, path: str, what: str) -> TarIndex:
        """Index a file. A compressed one, or one that cannot seek (a pipe), is copied to a temporary file first."""
        try:
            file = open(path, "rb")  # noqa: SIM115 - it lives as long as the index
        except (FileNotFoundError, NotADirectoryError):
            raise RegistryNotFound(f"{what}: no such file") from None
        except OSError as error:
            raise StoreError(f"{path}: {(error.strerror or str(error)).lower()}") from error
        try:
            seekable = file.seekable()
            if seekable and not compression_of(os.pread(file.fileno(), MAGIC_LENGTH, 0)):
                return cls(file, what)
            with file:
                chunks = read_chunks(file.fileno()) if seekable else iter(lambda: file.read1(1 << 20), b"")
                return cls(spool(decompressed(chunks, what)), what)
        except OSError as error:
            file.close()
            raise StoreError(f"{path}: {(error.strerror or str(error)).lower()}") from error

    def __contains__(self, name: str) -> bool:
        return self._find(name) is not None

    def has_folder(self, name: str) -> bool:
        """Whether there is a file in a folder of that name."""
        return any(path.startswith(f"{name}/") for path in self._members)

    def place(self, name: str) -> tuple[int, int]:
        """Offset and size of a file's content. Raises ArchiveError when there is none."""
        found = self._find(name)
        if found is None:
            raise ArchiveError(f"{self.what}: {name!r} is missing in the archive")
        return found

    def small(self, name: str, limit: int = MAX_DOCUMENT) -> bytes:
        """A whole document."""
        offset, size = self.place(name)
        if size > limit:
            raise ArchiveError(f"{self.what}: {name!r} is too long ({size} bytes) for a document")
        return b"".join(self.chunks(offset, size))

    def beginning(self, name: str) -> bytes:
        """The first bytes of a file, by which its compression is known."""
        offset, size = self.place(name)
        return os.pread(self._file, min(size, MAGIC_LENGTH), offset)

    def chunks(self, offset: int, size: int) -> Iterator[bytes]:
        """A part of the archive."""
        return read_chunks(self._file, offset, size)

    def blob(self, name: str, descriptor: Descriptor) -> Iterator[bytes]:
        """A file as a verified blob."""
        offset, size = self.place(name)
        return verified(self.chunks(offset, size), descriptor, f"{self.what}: {name}")

    def close(self) -> None:
        """Close the file. Idempotent."""
        descriptor, self._file = self._file, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _scan(self, file: IO[bytes]) -> None:
        import tarfile

        try:
            with tarfile.open(fileobj=_HeaderReader(file, self.what), mode="r:") as tar:  # type: ignore[call-overload]  # read, seek and tell are enough
                for _ in range(MAX_MEMBERS):
                    member = tar.next()
                    if member is None:
                        return
                    self._add(member)
                    tar.members.clear()  # tarfile keeps them all
        except (tarfile.TarError, OSError, ValueError, EOFError, RecursionError) as error:
            raise ArchiveError(f"{self.what}: not a tar archive, or damaged: {error}") from error
        raise ArchiveError(f"{self.what}: more than {MAX_MEMBERS} files in the archive")

    def _add(self, member: Any) -> None:
        if member.size < 0:
            raise ArchiveError(f"{self.what}: {member.name!r}: a size below zero")
        name = self._name(member.name)
        if member.issym():
            self._links[name] = posixpath.normpath(posixpath.join(posixpath.dirname(name), member.linkname))
        elif member.islnk():
            self._links[name] = self._name(member.linkname)
        elif member.isreg():
            if member.issparse():
                raise ArchiveError(f"{self.what}: {member.name!r} is sparse")
            self._members[name] = (member.offset_data, member.size)
            self._links.pop(name, None)

    def _name(self, text: str) -> str:
        name = posixpath.normpath(text)
        if name == ".." or name.startswith(("/", "../")):
            raise ArchiveError(f"{self.what}: {text!r} points out of the archive")
        return name

    def _find(self, name: str) -> tuple[int, int] | None:
        name = posixpath.normpath(name)
        for _ in range(MAX_LINKS):
            if name in self._members:
                return self._members[name]
            if name not in self._links:
                return None
            name = self._links[name]
        raise ArchiveError(f"{self.what}: {name!r} is a loop of links")


def spool(chunks: Iterable[bytes]) -> IO[bytes]:
    """The stream as a temporary file without a name, at its beginning; in /var/tmp, as /tmp may be memory."""
    import tempfile

    folder = None if os.environ.get("TMPDIR") or not os.access("/var/tmp", os.W_OK) else "/var/tmp"
    try:
        file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - it is the caller's
    except OSError as error:
        raise StoreError(f"no temporary file can be made: {(error.strerror or str(error)).lower()}") from error
    try:
        for chunk in chunks:
            file.write(chunk)
        file.flush()
        file.seek(0)
    except OSError as error:
        file.close()
        raise StoreError(f"{folder or 'TMPDIR'}: {(error.strerror or str(error)).lower()}") from error
    except BaseException:
        file.close()
        raise
    return file


class _HeaderReader:
    """The file as tarfile may see it: headers alone, none of them so long that it would fill the memory."""

    def __init__(self, file: IO[bytes], what: str) -> None:
        self._file = file
        self._what = what

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= MAX_HEADER:
            raise ArchiveError(f"{self._what}: a header of {size} bytes")
        return self._file.read(size)

    def seek(self, position: int, whence: int = 0) -> int:
        return self._file.seek(position, whence)

    def tell(self) -> int:
        return self._file.tell()
