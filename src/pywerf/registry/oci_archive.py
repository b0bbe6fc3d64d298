"""`oci-archive:PATH[:REF]`: OCI image layouts in tars. One image of one, or as many as there are."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping

from pywerf.errors import ArchiveError
from pywerf.oci.descriptor import Descriptor
from pywerf.oci.digest import Digest
from pywerf.oci.image_io import BlobChunks
from pywerf.oci.media_types import Compression
from pywerf.registry.layout import LAYOUT_FILE, entry_name, layout_index, read_index, select_entry
from pywerf.registry.tar_index import MAX_MEMBERS, TarIndex
from pywerf.registry.tar_writer import TarWriter
from pywerf.registry.verify import MAX_DOCUMENT, check_document, verified

__all__ = ["ArchiveLayout", "ArchiveLayoutSource", "LayoutArchive", "OciArchiveDestination"]

# Blobs up to this size are read before it is their turn, so that several can be on their way at once.
SMALL = 1 << 20


class ArchiveLayout:
    """A layout in an indexed tar: all of its images. `close` it."""

    def __init__(self, index: TarIndex, what: str) -> None:
        self.what = what
        self.index = index
        self.entries = read_index(index.small("index.json"), f"{what}: index.json")

    def names(self) -> Mapping[str, Descriptor]:
        """The images by their names; of several with one name the first."""
        found: dict[str, Descriptor] = {}
        for entry in self.entries:
            if name := entry_name(entry):
                found.setdefault(name, entry)
        return found

    def source(self, entry: Descriptor) -> ArchiveLayoutSource:
        """One of the images."""
        return ArchiveLayoutSource(self.index, entry, self.what)

    def close(self) -> None:
        """Close the archive. Idempotent."""
        self.index.close()


class ArchiveLayoutSource:
    """An image of a layout in an indexed tar (ImageSource). `names` has the name that it has there, if any."""

    def __init__(self, index: TarIndex, top: Descriptor, what: str) -> None:
        self.what = what
        self._index = index
        self._top = top
        name = entry_name(top)
        self.names = (name,) if name else ()

    @classmethod
    def named(cls, index: TarIndex, reference: str, what: str) -> ArchiveLayoutSource:
        """The image that a reference means (`select_entry`). Raises RegistryNotFound."""
        layout = ArchiveLayout(index, what)
        return layout.source(select_entry(layout.entries, reference, what))

    def manifest(self, digest: Digest | None = None) -> tuple[bytes, str]:
        """ImageSource: the image's manifest or index, or another one of the archive by digest."""
        wanted = digest or self._top.digest
        data = self._index.small(_name(wanted))
        check_document(data, wanted, f"{self.what}: manifest")
        return data, self._top.media_type if wanted == self._top.digest else ""

    def blob(self, descriptor: Descriptor) -> Iterator[bytes]:
        """ImageSource: chunks of a blob, verified."""
        return self._index.blob(_name(descriptor.digest), descriptor)

    def close(self) -> None:
        """Close the archive. Idempotent."""
        self._index.close()


class LayoutArchive:
    """A new archive, for any number of images: what several of them have is in it once. Any thread may write.

    `finish` gives it its name; before that, and after `abandon`, it is not there. `max_members` is how many files a
    reader would take.
    """

    def __init__(self, writer: TarWriter, what: str, *, max_members: int = MAX_MEMBERS) -> None:
        self.what = what
        self._max_members = max_members
        self._writer = writer
        self._written: set[Digest] = set()
        self._entries: list[tuple[Descriptor, str]] = []
        self._members = 0
        self._lock = threading.Lock()

    def destination(self, reference: str) -> ArchiveDestination:
        """Where one image goes, and what it is called."""
        return ArchiveDestination(self, reference)

    def has(self, digest: Digest) -> bool:
        """Whether a blob or a manifest has been written."""
        return digest in self._written

    def put_blob(self, descriptor: Descriptor, chunks: BlobChunks) -> None:
        """Write a blob, verified, unless it is there."""
        if self.has(descriptor.digest):
            return
        checked = verified(chunks(), descriptor, f"{self.what}: {descriptor.digest}")
        if descriptor.size <= SMALL:
            checked = iter((b"".join(checked),))
        self._add(descriptor.digest, descriptor.size, checked)

    def put_blob_stream(self, chunks: Iterator[bytes]) -> tuple[Digest, int]:
        """Write a blob and find its digest."""
        import hashlib

        state = hashlib.sha256()

        def hashed() -> Iterator[bytes]:
            for chunk in chunks:
                state.update(chunk)
                yield chunk

        with self._lock:
            size = self._writer.add_unknown(hashed(), self._fresh_name(lambda: Digest.sha256(state.hexdigest())))
            digest = Digest.sha256(state.hexdigest())
            self._written.add(digest)
        return digest, size

    def put_document(self, data: bytes) -> Digest:
        """Write a manifest or an index."""
        digest = Digest.of(data)
        self._add(digest, len(data), iter((data,)))
        return digest

    def enter(self, entry: Descriptor, reference: str) -> None:
        """Name an image whose documents and blobs are there."""
        with self._lock:
            self._entries.append((entry, reference))

    def put_file(self, name: str, data: bytes) -> None:
        """Write a file that the layout knows nothing of."""
        with self._lock:
            self._writer.add(name, len(data), (data,))
            self._members += 1

    def finish(self) -> None:
        """Write index.json, and give the archive its name. Raises ArchiveError for what nobody could read again."""
        index = layout_index(sorted(self._entries, key=lambda entry: entry[1]))
        if len(index) > MAX_DOCUMENT or self._members + 2 > self._max_members:
            self.abandon()
            raise ArchiveError(f"{self.what}: {len(self._entries)} images are too many for one archive")
        try:
            self.put_file("index.json", index)
            self.put_file("oci-layout", LAYOUT_FILE)
            self._writer.finish()
        finally:
            self._writer.abandon()

    def abandon(self) -> None:
        """Leave nothing behind. Idempotent, and without effect after `finish`."""
        self._writer.abandon()

    def _add(self, digest: Digest, size: int, chunks: Iterator[bytes]) -> None:
        with self._lock:
            if digest not in self._written:
                self._writer.add(_name(digest), size, chunks)
                self._written.add(digest)
                self._members += 1

    def _fresh_name(self, digest: Callable[[], Digest]) -> Callable[[], str | None]:
        return lambda: None if digest() in self._written else _name(digest())


class ArchiveDestination:
    """One image of an archive (ImageDestination)."""

    layer_compression: Compression | None = None  # any

    def __init__(self, archive: LayoutArchive, reference: str) -> None:
        self.archive = archive
        self.reference = reference

    def has_blob(self, descriptor: Descriptor) -> bool:
        """ImageDestination: it has been written."""
        return self.archive.has(descriptor.digest)

    def put_blob(self, descriptor: Descriptor, chunks: BlobChunks) -> None:
        """ImageDestination: write a blob, verified."""
        self.archive.put_blob(descriptor, chunks)

    def put_blob_stream(self, chunks: Iterator[bytes]) -> tuple[Digest, int]:
        """ImageDestination: write a blob and find its digest."""
        return self.archive.put_blob_stream(chunks)

    def put_manifest(self, data: bytes, media_type: str, *, top: bool = True) -> Digest:
        """ImageDestination: write it; the top one goes into index.json at the end."""
        digest = self.archive.put_document(data)
        if top:
            self.archive.enter(Descriptor(media_type, digest, len(data)), self.reference)
        return digest

    def close(self) -> None:
        """ImageDestination: nothing is left to do; the archive is its owner's."""


class OciArchiveDestination(ArchiveDestination):
    """A new archive with one image (ImageDestination); `close` after the top manifest gives it its name."""

    sequential = True

    def __init__(self, path: str, reference: str = "") -> None:
        from pywerf.registry.tar_writer import FileTarWriter

        what = f"oci-archive:{path}"
        super().__init__(LayoutArchive(FileTarWriter(path, what), what), reference)
        self._whole = False
        self._closed = False

    def put_manifest(self, data: bytes, media_type: str, *, top: bool = True) -> Digest:
        """ImageDestination: as those of all archives."""
        digest = super().put_manifest(data, media_type, top=top)
        self._whole = self._whole or top
        return digest

    def close(self) -> None:
        """ImageDestination: write index.json and rename the archive; without a top manifest nothing is left."""
        if self._closed:
            return
        self._closed = True
        if self._whole:
            self.archive.finish()
        else:
            self.archive.abandon()


def _name(digest: Digest) -> str:
    return f"blobs/{digest.algorithm}/{digest.hex}"
