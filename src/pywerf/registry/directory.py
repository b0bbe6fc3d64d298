"""`dir:PATH`: one image as loose files (containers-transports(5)): manifest.json, version, blobs by hex."""

from __future__ import annotations

import os
from collections.abc import Iterator

from pywerf.errors import RegistryNotFound, StoreError
from pywerf.oci.descriptor import Descriptor
from pywerf.oci.digest import Digest
from pywerf.oci.image_io import BlobChunks
from pywerf.oci.media_types import Compression
from pywerf.registry import places
from pywerf.registry.verify import check_document

__all__ = ["DirectoryDestination", "DirectorySource"]

VERSION = b"Directory Transport Version: 1.1\n"


class DirectorySource:
    """The image in a folder (ImageSource)."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.what = f"dir:{path}"
        if not os.path.isdir(path):
            raise RegistryNotFound(f"{self.what}: no such folder")

    def manifest(self, digest: Digest | None = None) -> tuple[bytes, str]:
        """ImageSource: the manifest; those of an index are in files of their own."""
        if digest is None:
            return places.read_small(os.path.join(self.path, "manifest.json"), self.what), ""
        path = os.path.join(self.path, f"{digest.hex}.manifest.json")
        if not os.path.exists(path):
            path = os.path.join(self.path, "manifest.json")
        data = places.read_small(path, self.what)
        check_document(data, digest, f"{self.what}: manifest")
        return data, ""

    def blob(self, descriptor: Descriptor) -> Iterator[bytes]:
        """ImageSource: chunks of a blob, verified."""
        path = os.path.join(self.path, descriptor.digest.hex)
        return places.read_file_blob(path, descriptor, f"{self.what}: {descriptor.digest}")


class DirectoryDestination:
    """A folder that gets an image (ImageDestination), empty, new, or with an image that is replaced."""

    sequential = False
    layer_compression: Compression | None = None  # any

    def __init__(self, path: str) -> None:
        self.path = path
        self.what = f"dir:{path}"
        if os.path.exists(path) and not os.path.isdir(path):
            raise StoreError(f"{path}: not a folder")
        if os.path.isdir(path) and os.listdir(path) and not os.path.exists(os.path.join(path, "version")):
            raise StoreError(f"{path}: not empty, and without an image", hint="name another folder")

    def has_blob(self, descriptor: Descriptor) -> bool:
        """ImageDestination: a blob of this size is there."""
        try:
            return os.stat(os.path.join(self.path, descriptor.digest.hex)).st_size == descriptor.size
        except OSError:
            return False  # then it is written, and that tells what is wrong

    def put_blob(self, descriptor: Descriptor, chunks: BlobChunks) -> None:
        """ImageDestination: write a blob, verified."""
        self._begin()
        path = os.path.join(self.path, descriptor.digest.hex)
        places.write_blob(path, descriptor, chunks(), f"{self.what}: {descriptor.digest}")

    def put_blob_stream(self, chunks: Iterator[bytes]) -> tuple[Digest, int]:
        """ImageDestination: write a blob and find its digest."""
        self._begin()
        return places.write_stream(self.path, chunks)

    def put_manifest(self, data: bytes, media_type: str, *, top: bool = True) -> Digest:
        """ImageDestination: manifest.json for the top one, HEX.manifest.json for those of an index."""
        self._begin()
        digest = Digest.of(data)
        places.write_file(os.path.join(self.path, "manifest.json" if top else f"{digest.hex}.manifest.json"), data)
        return digest

    def close(self) -> None:
        """ImageDestination: nothing is left to do."""

    def _begin(self) -> None:
        # first of all: a folder without it would be refused when an interrupted copy is tried again
        version = os.path.join(self.path, "version")
        if not os.path.exists(version):
            places.write_file(version, VERSION)
