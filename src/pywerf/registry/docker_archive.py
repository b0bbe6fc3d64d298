"""`docker-archive:PATH[:REF]`: what `docker save` writes and `docker load` reads (moby's image specification)."""

from __future__ import annotations

import functools
import hashlib
import json
import re
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from pywerf.errors import ArchiveError, DigestMismatch, InvalidDocument, InvalidReference, RegistryNotFound, StoreError
from pywerf.oci import media_types
from pywerf.oci.config import ImageConfig
from pywerf.oci.descriptor import Descriptor
from pywerf.oci.digest import Digest
from pywerf.oci.document import Fields, encode
from pywerf.oci.image_io import BlobChunks
from pywerf.oci.manifest import Index, Manifest, parse_manifest
from pywerf.oci.media_types import Compression
from pywerf.oci.reference import DEFAULT_REGISTRY, Reference
from pywerf.registry.decompress import compression_of, decompressed, peeked
from pywerf.registry.tar_index import TarIndex
from pywerf.registry.tar_writer import TarWriter
from pywerf.registry.verify import read_document, verified

__all__ = ["DockerArchiveSource", "DockerTarDestination", "full_reference"]

_LAYER_TYPES = {
    "": media_types.DOCKER_LAYER,
    "gzip": media_types.DOCKER_LAYER_GZIP,
    "zstd": media_types.DOCKER_LAYER_ZSTD,
}


def full_reference(text: str) -> Reference:
    """A name as docker means it: on docker.io unless it says otherwise, `latest` unless it says otherwise."""
    reference = Reference.parse(text)
    return (reference if reference.host else reference.with_host(DEFAULT_REGISTRY)).tagged()


@functools.cache
def _blob_name() -> re.Pattern[str]:
    return re.compile(r"blobs/(sha256)/([0-9a-f]{64})")


class DockerArchiveSource:
    """An image of an archive (ImageSource), whose manifest is made up: docker's format has none.

    Layers are mostly plain tars, whose digests are the config's diff_ids; the newer archives, which are
    OCI layouts too, may have compressed ones. `names` are the full names that the archive has for the image,
    or the one that it was asked for by.
    """

    def __init__(self, index: TarIndex, reference: str, what: str) -> None:
        self.what = what
        self._index = index
        entry = self._select(reference)
        tags = [_tag_of_archive(text) for text in entry.strings("RepoTags") or ()]
        by_name = full_reference(reference) if reference and not reference.startswith("@") else None
        self.names = tuple(str(tag) for tag in ([by_name] if by_name is not None else tags) if tag is not None)
        config_name = entry.need("Config", str)
        config = index.small(config_name)
        self._places: dict[Digest, tuple[int, int]] = {Digest.of(config): index.place(config_name)}
        layers = self._layers(entry.strings("Layers") or (), ImageConfig.from_json(config, f"{what}: config").diff_ids)
        manifest = Manifest(
            media_type=media_types.DOCKER_MANIFEST,
            config=Descriptor(media_types.DOCKER_CONFIG, Digest.of(config), len(config)),
            layers=layers,
        )
        self._manifest = manifest.to_json()

    def manifest(self, digest: Digest | None = None) -> tuple[bytes, str]:
        """ImageSource: the made-up manifest."""
        if digest is not None and digest != Digest.of(self._manifest):
            raise RegistryNotFound(f"{self.what}: no manifest {digest}")
        return self._manifest, media_types.DOCKER_MANIFEST

    def blob(self, descriptor: Descriptor) -> Iterator[bytes]:
        """ImageSource: chunks of the config or a layer, verified."""
        place = self._places.get(descriptor.digest)
        if place is None:
            raise RegistryNotFound(f"{self.what}: no blob {descriptor.digest}")
        return verified(self._index.chunks(*place), descriptor, f"{self.what}: {descriptor.digest}")

    def close(self) -> None:
        """Close the archive. Idempotent."""
        self._index.close()

    def _select(self, reference: str) -> Fields:
        if "manifest.json" not in self._index:
            raise ArchiveError(
                f"{self.what}: no manifest.json in there", hint="save the image again with docker 1.10 or newer"
            )
        try:
            document = json.loads(self._index.small("manifest.json"))
        except (ValueError, RecursionError) as error:
            raise InvalidDocument(f"{self.what}: manifest.json is not valid JSON: {error}") from error
        if not isinstance(document, list):
            raise InvalidDocument(f"{self.what}: manifest.json: expected a list")
        entries = [Fields(item, f"{self.what}: manifest.json[{n}]") for n, item in enumerate(document)]
        names = [entry.strings("RepoTags") or () for entry in entries]
        known = ", ".join(name for group in names for name in group) or "none with a name"
        if reference.startswith("@") and reference[1:].isdigit():
            if int(reference[1:]) < len(entries):
                return entries[int(reference[1:])]
            raise RegistryNotFound(f"{self.what}: there are {len(entries)} images", hint=f"there are: {known}")
        if not reference:
            if len(entries) != 1:
                raise RegistryNotFound(
                    f"{self.what}: there are {len(entries)} images", hint=f"add :REF or :@N; {known}"
                )
            return entries[0]
        wanted = full_reference(reference)
        for entry, group in zip(entries, names, strict=True):
            if wanted in map(_tag_of_archive, group):
                return entry
        raise RegistryNotFound(f"{self.what}: no image {reference!r}", hint=f"there are: {known}")

    def _layers(self, names: Sequence[str], diff_ids: Sequence[Digest]) -> tuple[Descriptor, ...]:
        if len(names) != len(diff_ids):
            raise InvalidDocument(f"{self.what}: {len(names)} layers, but the config knows {len(diff_ids)}")
        out = []
        for name, diff_id in zip(names, diff_ids, strict=True):
            offset, size = self._index.place(name)
            kind = compression_of(self._index.beginning(name))
            if kind not in _LAYER_TYPES:
                raise ArchiveError(f"{self.what}: layer {name!r} is compressed with {kind}, which images cannot have")
            digest = diff_id
            if kind:
                found = _blob_name().fullmatch(name)
                digest = Digest(*found.groups()) if found else Digest.of_chunks(self._index.chunks(offset, size))
            self._places[digest] = (offset, size)
            out.append(Descriptor(_LAYER_TYPES[kind], digest, size))
        return tuple(out)


def _tag_of_archive(text: str) -> Reference | None:
    try:
        return full_reference(text)
    except InvalidReference:
        return None  # somebody else's idea of a name; it can be chosen by its number


class DockerTarDestination:
    """One image for `docker load` (ImageDestination), written to a file or sent to a daemon.

    Layers are stored as plain tars. `references` are the names that the image gets.
    """

    sequential = True
    layer_compression: Compression | None = "none"

    def __init__(self, writer: TarWriter, references: Sequence[Reference], what: str) -> None:
        self.what = what
        self.references = tuple(references)
        self._writer = writer
        self._configs: dict[Digest, bytes] = {}
        self._diff_ids: dict[Digest, Digest] = {}  # of a layer as it came to what it is when unpacked
        self._written: set[Digest] = set()
        self._complete = False
        self._closed = False
        self._lock = threading.Lock()

    def has_blob(self, descriptor: Descriptor) -> bool:
        """ImageDestination: it has been written."""
        return descriptor.digest in self._diff_ids or descriptor.digest in self._configs

    def put_blob(self, descriptor: Descriptor, chunks: BlobChunks) -> None:
        """ImageDestination: write a layer, unpacked; a config is kept until the manifest comes."""
        what = f"{self.what}: {descriptor.digest}"
        compression = media_types.layer_compression(descriptor.media_type)
        with self._lock:
            if self.has_blob(descriptor):
                return
            if compression is None:
                self._configs[descriptor.digest] = read_document(chunks(), descriptor, what)
            elif compression == "none" and descriptor.digest.algorithm == "sha256":
                self._writer.add(_layer_name(descriptor.digest), descriptor.size, verified(chunks(), descriptor, what))
                self._written.add(descriptor.digest)
                self._diff_ids[descriptor.digest] = descriptor.digest
            else:
                self._diff_ids[descriptor.digest] = self._add_unpacked(verified(chunks(), descriptor, what))

    def put_blob_stream(self, chunks: Iterator[bytes]) -> tuple[Digest, int]:
        """ImageDestination: write a layer, compressed or not; its digest and size as it came."""
        state = hashlib.sha256()
        size = 0

        def counted() -> Iterator[bytes]:
            nonlocal size
            for chunk in chunks:
                state.update(chunk)
                size += len(chunk)
                yield chunk

        with self._lock:
            diff_id = self._add_unpacked(counted())
            digest = Digest.sha256(state.hexdigest())
            self._diff_ids[digest] = diff_id
        return digest, size

    def put_manifest(self, data: bytes, media_type: str, *, top: bool = True) -> Digest:
        """ImageDestination: write config and manifest.json; the layers must be those that the config names."""
        manifest = parse_manifest(data, media_type, self.what)
        if isinstance(manifest, Index) or not top:
            raise StoreError(f"{self.what}: docker's format holds one image of one platform", hint="use oci-archive:")
        config = self._configs.get(manifest.config.digest)
        if config is None:
            raise StoreError(f"{self.what}: no config {manifest.config.digest}")
        layers = [self._diff_ids.get(layer.digest) for layer in manifest.layers]
        diff_ids = ImageConfig.from_json(config, f"{self.what}: config").diff_ids
        for number, (actual, expected) in enumerate(zip(layers, diff_ids, strict=False)):
            if actual != expected:
                raise DigestMismatch(f"{self.what}: layer {number + 1}", str(expected), str(actual or "nothing"))
        if len(layers) != len(diff_ids):
            raise InvalidDocument(f"{self.what}: {len(layers)} layers, but the config knows {len(diff_ids)}")
        entry: dict[str, Any] = {
            "Config": f"{Digest.of(config).hex}.json",
            "RepoTags": [str(reference) for reference in self.references],
            "Layers": [_layer_name(diff_id) for diff_id in diff_ids],
        }
        document = encode([entry])
        with self._lock:
            self._writer.add(entry["Config"], len(config), (config,))
            self._writer.add("manifest.json", len(document), (document,))
            self._complete = True
        return Digest.of(data)

    def close(self) -> None:
        """ImageDestination: end the archive; without a manifest nothing is left of it."""
        if self._closed:
            return
        self._closed = True
        try:
            if self._complete:
                self._writer.finish()
        finally:
            self._writer.abandon()

    def _add_unpacked(self, chunks: Iterator[bytes]) -> Digest:
        state = hashlib.sha256()

        def hashed() -> Iterator[bytes]:
            beginning, whole = peeked(chunks)
            for chunk in decompressed(whole, self.what) if compression_of(beginning) else whole:
                state.update(chunk)
                yield chunk

        def name() -> str | None:
            diff_id = Digest.sha256(state.hexdigest())
            return None if diff_id in self._written else _layer_name(diff_id)

        self._writer.add_unknown(hashed(), name)
        diff_id = Digest.sha256(state.hexdigest())
        self._written.add(diff_id)
        return diff_id


def _layer_name(diff_id: Digest) -> str:
    return f"{diff_id.hex}.tar"
