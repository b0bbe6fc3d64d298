"""`oci-archive:PATH[:REF]`: an OCI image layout in a tar."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from pywerf.oci.descriptor import Descriptor
from pywerf.oci.digest import Digest
from pywerf.oci.image_io import BlobChunks
from pywerf.oci.media_types import Compression
from pywerf.registry.layout import LAYOUT_FILE, read_index, select_entry, updated_index
from pywerf.registry.tar_index import TarIndex
from pywerf.registry.tar_writer import FileTarWriter
from pywerf.registry.verify import check_document, verified

__all__ = ["ArchiveLayoutSource", "OciArchiveDestination"]


class ArchiveLayoutSource:
    """An image of a layout in an indexed tar (ImageSource). `names` has the name that it has there, if any."""

    def __init__(self, index: TarIndex, reference: str, what: str) -> None:
        self.what = what
        self._index = index
        entries = read_index(index.small("index.json"), f"{what}: index.json")
        self._top = select_entry(entries, reference, what)
        name = dict(self._top.annotations).get("org.opencontainers.image.ref.name", "")
        self.names = (name,) if name else ()

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


class OciArchiveDestination:
    """A new archive with one image (ImageDestination); `close` after the top manifest gives it its name."""

    sequential = True
    layer_compression: Compression | None = None  # any

    def __init__(self, path: str, reference: str = "") -> None:
        self.what = f"oci-archive:{path}"
        self.reference = reference
        self._writer = FileTarWriter(path, self.what)
        self._written: set[Digest] = set()
        self._top: Descriptor | None = None
        self._lock = threading.Lock()
        self._closed = False

    def has_blob(self, descriptor: Descriptor) -> bool:
        """ImageDestination: it has been written."""
        return descriptor.digest in self._written

    def put_blob(self, descriptor: Descriptor, chunks: BlobChunks) -> None:
        """ImageDestination: write a blob, verified."""
        digest = descriptor.digest
        with self._lock:
            if digest not in self._written:
                checked = verified(chunks(), descriptor, f"{self.what}: {digest}")
                self._writer.add(_name(digest), descriptor.size, checked)
                self._written.add(digest)

    def put_blob_stream(self, chunks: Iterator[bytes]) -> tuple[Digest, int]:
        """ImageDestination: write a blob and find its digest."""
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

    def put_manifest(self, data: bytes, media_type: str, *, top: bool = True) -> Digest:
        """ImageDestination: write it; the top one goes into index.json at the end."""
        digest = Digest.of(data)
        with self._lock:
            if digest not in self._written:
                self._writer.add(_name(digest), len(data), (data,))
                self._written.add(digest)
            if top:
                self._top = Descriptor(media_type, digest, len(data))
        return digest

    def close(self) -> None:
        """ImageDestination: write index.json and rename the archive; without a top manifest nothing is left."""
        if self._closed:
            return
        self._closed = True
        if self._top is None:
            self._writer.abandon()
            return
        index = updated_index((), self._top, self.reference)
        try:
            self._writer.add("index.json", len(index), (index,))
            self._writer.add("oci-layout", len(LAYOUT_FILE), (LAYOUT_FILE,))
            self._writer.finish()
        finally:
            self._writer.abandon()

    def _fresh_name(self, digest: Callable[[], Digest]) -> Callable[[], str | None]:
        return lambda: None if digest() in self._written else _name(digest())


def _name(digest: Digest) -> str:
    return f"blobs/{digest.algorithm}/{digest.hex}"
