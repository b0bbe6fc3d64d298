"""`oci:PATH[:REF]`: images in an OCI image layout (image-spec, image-layout.md)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from pywerf.errors import InvalidDocument, RegistryNotFound, StoreError
from pywerf.oci import media_types
from pywerf.oci.descriptor import Descriptor
from pywerf.oci.digest import Digest
from pywerf.oci.document import encode, load_object
from pywerf.oci.image_io import BlobChunks
from pywerf.oci.manifest import descriptor_from, descriptor_json
from pywerf.oci.media_types import Compression
from pywerf.registry import places
from pywerf.registry.verify import check_document

__all__ = [
    "LAYOUT_FILE",
    "LayoutDestination",
    "LayoutSource",
    "entry_name",
    "layout_index",
    "read_index",
    "select_entry",
    "updated_index",
]

LAYOUT_FILE = b'{"imageLayoutVersion":"1.0.0"}'
REF_NAME = "org.opencontainers.image.ref.name"
# what containerd and buildx write beside a bare tag
IMAGE_NAME = "io.containerd.image.name"


def read_index(data: bytes, what: str) -> tuple[Descriptor, ...]:
    """The entries of an index.json."""
    fields = load_object(data, what)
    if fields.get("schemaVersion", int, 2) != 2:
        raise InvalidDocument(f"{what}: schema version {fields.get('schemaVersion', int, 2)} is not known")
    return tuple(descriptor_from(item) for item in fields.objects("manifests"))


def select_entry(entries: Sequence[Descriptor], reference: str, what: str) -> Descriptor:
    """The entry that a REF means: its name, `@N` its place (from 0); an empty one means the only entry there is."""
    names = [entry_name(entry) for entry in entries]
    known = ", ".join(sorted(name for name in names if name)) or "none with a name"
    if reference.startswith("@") and reference[1:].isdigit():
        number = int(reference[1:])
        if number < len(entries):
            return entries[number]
        raise RegistryNotFound(f"{what}: there are {len(entries)} images, none is number {number}")
    if not reference:
        if len(entries) == 1:
            return entries[0]
        if not entries:
            raise RegistryNotFound(f"{what}: no image in there")
        raise RegistryNotFound(f"{what}: there are {len(entries)} images", hint=f"add :REF; there are: {known}")
    for key in (REF_NAME, IMAGE_NAME):
        for entry in entries:
            if _annotation(entry, key) == reference:
                return entry
    raise RegistryNotFound(f"{what}: no image {reference!r}", hint=f"there are: {known}")


def updated_index(entries: Sequence[Descriptor], added: Descriptor, reference: str) -> bytes:
    """An index.json with one image more: it takes the place of what had its name."""
    kept = [
        entry
        for entry in entries
        if (_annotation(entry, REF_NAME) != reference if reference else entry.digest != added.digest)
    ]
    return _index_of([*kept, _called(added, reference)])


def layout_index(entries: Iterable[tuple[Descriptor, str]]) -> bytes:
    """An index.json with these images, each with its name (empty: it has none)."""
    return _index_of(_called(entry, reference) for entry, reference in entries)


def entry_name(entry: Descriptor) -> str:
    """What an entry of an index.json is called; empty: nothing."""
    return _annotation(entry, REF_NAME) or _annotation(entry, IMAGE_NAME)


def _called(entry: Descriptor, reference: str) -> Descriptor:
    annotations = tuple(pair for pair in entry.annotations if pair[0] != REF_NAME)
    if reference:
        annotations += ((REF_NAME, reference),)
    return msgspec.structs.replace(entry, annotations=annotations)


def _index_of(entries: Iterable[Descriptor]) -> bytes:
    document: dict[str, Any] = {"schemaVersion": 2, "mediaType": media_types.OCI_INDEX}
    document["manifests"] = [descriptor_json(entry) for entry in entries]
    return encode(document)


def _annotation(entry: Descriptor, key: str) -> str:
    return dict(entry.annotations).get(key, "")


class LayoutSource:
    """An image of a layout (ImageSource)."""

    def __init__(self, path: str, reference: str = "") -> None:
        self.path = path
        self.what = f"oci:{path}" + (f":{reference}" if reference else "")
        if not os.path.isdir(path):
            raise RegistryNotFound(f"{self.what}: no such folder", hint="oci: takes a folder, oci-archive: a file")
        index = places.read_small(os.path.join(path, "index.json"), self.what)
        entries = read_index(index, f"{path}/index.json")
        self._top = select_entry(entries, reference, self.what)

    def manifest(self, digest: Digest | None = None) -> tuple[bytes, str]:
        """ImageSource: the image's manifest or index, or another one of the layout by digest."""
        wanted = digest or self._top.digest
        data = places.read_small(self._blob_path(wanted), f"{self.what}: {wanted}")
        check_document(data, wanted, f"{self.what}: manifest")
        return data, self._top.media_type if wanted == self._top.digest else ""

    def blob(self, descriptor: Descriptor) -> Iterator[bytes]:
        """ImageSource: chunks of a blob, verified."""
        path = self._blob_path(descriptor.digest)
        return places.read_file_blob(path, descriptor, f"{self.what}: {descriptor.digest}")

    def _blob_path(self, digest: Digest) -> str:
        return os.path.join(self.path, "blobs", digest.algorithm, digest.hex)


class LayoutDestination:
    """A layout that gets one image more (ImageDestination); it is made where there is none.

    Several processes may write to one layout at once.
    """

    sequential = False
    layer_compression: Compression | None = None  # any

    def __init__(self, path: str, reference: str = "") -> None:
        self.path = path
        self.reference = reference
        self.what = f"oci:{path}" + (f":{reference}" if reference else "")
        index = os.path.join(path, "index.json")
        if os.path.isdir(path) and os.listdir(path) and not os.path.exists(index):
            if not os.path.exists(os.path.join(path, "oci-layout")) and not os.path.isdir(os.path.join(path, "blobs")):
                raise StoreError(f"{path}: not empty, and not an OCI layout", hint="name another folder")
        elif os.path.exists(path) and not os.path.isdir(path):
            raise StoreError(f"{path}: not a folder", hint="oci-archive: writes a file")

    def has_blob(self, descriptor: Descriptor) -> bool:
        """ImageDestination: a blob of this size is there."""
        try:
            return os.stat(self._blob_path(descriptor.digest)).st_size == descriptor.size
        except OSError:
            return False  # then it is written, and that tells what is wrong

    def put_blob(self, descriptor: Descriptor, chunks: BlobChunks) -> None:
        """ImageDestination: write a blob, verified."""
        what = f"{self.what}: {descriptor.digest}"
        places.write_blob(self._blob_path(descriptor.digest), descriptor, chunks(), what)

    def put_blob_stream(self, chunks: Iterator[bytes]) -> tuple[Digest, int]:
        """ImageDestination: write a blob and find its digest."""
        return places.write_stream(os.path.join(self.path, "blobs", "sha256"), chunks)

    def put_manifest(self, data: bytes, media_type: str, *, top: bool = True) -> Digest:
        """ImageDestination: write it; the top one is entered in index.json, in the place of its namesake."""
        digest = Digest.of(data)
        places.write_file(self._blob_path(digest), data)
        if top:
            with self._locked():
                places.write_file(os.path.join(self.path, "oci-layout"), LAYOUT_FILE)
                index = os.path.join(self.path, "index.json")
                entries: tuple[Descriptor, ...] = ()
                if os.path.exists(index):
                    entries = read_index(places.read_small(index, self.what), index)
                added = Descriptor(media_type, digest, len(data))
                places.write_file(index, updated_index(entries, added, self.reference))
        return digest

    def close(self) -> None:
        """ImageDestination: nothing is left to do."""

    def _blob_path(self, digest: Digest) -> str:
        return os.path.join(self.path, "blobs", digest.algorithm, digest.hex)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        import fcntl

        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)
