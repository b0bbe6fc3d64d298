"""Where a cache is: an OCI image manifest under a name in a registry, or in the layout of a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import msgspec

from pywerf.build.remote.document import (
    ANNOTATION,
    ARTIFACT_TYPE,
    CONFIG_TYPE,
    CacheDocument,
    LayerBlob,
    blobs_of,
    checked,
    decode,
    encode,
)
from pywerf.errors import BuildError, InvalidDocument, RegistryNotFound
from pywerf.oci import media_types
from pywerf.oci.config import ImageConfig
from pywerf.oci.descriptor import Descriptor
from pywerf.oci.digest import Digest
from pywerf.oci.image_io import ImageDestination, ImageSource
from pywerf.oci.manifest import Index, Manifest, parse_manifest
from pywerf.oci.platform import Platform, host_platform
from pywerf.oci.reference import Reference
from pywerf.registry.transports import TransportName, open_destination, open_source

if TYPE_CHECKING:
    from pywerf.build.remote.spec import CacheSpec
    from pywerf.build.session import Session

__all__ = ["Loaded", "Place", "place_of"]


class Loaded(msgspec.Struct, frozen=True):
    """A cache as it was found. `digest` is its manifest's; `refused` counts entries that cannot be right.

    `inline`: it is an image with the records of its own layers; `foreign` says what it is instead, when it is no
    cache at all. `origin` is where it is in a registry.
    """

    document: CacheDocument
    digest: Digest
    source: ImageSource
    refused: int = 0
    foreign: str = ""
    inline: bool = False
    origin: Reference | None = None


class Place:
    """One named cache. Every method may be called from any thread."""

    def __init__(self, session: Session, where: TransportName, name: str) -> None:
        self._session = session
        self._where = where
        self.name = name

    @property
    def reference(self) -> Reference | None:
        """The full reference, of a place in a registry."""
        if self.is_folder:
            return None
        return self._session.registries().candidates(Reference.parse(self._where.reference))[0]

    def load(self, platforms: Sequence[Platform] = ()) -> Loaded | None:
        """What is there now; None when there is nothing. Of an index of images those for `platforms`.

        One or two small requests. Raises InvalidDocument and DigestMismatch for what is damaged, RegistryError,
        StoreError.
        """
        try:
            source = open_source(self._where, self._session.registries())
            data, media_type = source.manifest()
            top = parse_manifest(data, media_type, self.name)
            manifests = self._chosen(source, top, platforms) if isinstance(top, Index) else [top]
        except RegistryNotFound:
            return None
        found = [self._read(source, manifest) for manifest in manifests]
        own = any(manifest.config.media_type == CONFIG_TYPE for manifest in manifests)
        read = [one for one in found if one is not None]
        document = read[0][0] if len(read) == 1 else _joined([one for one, _ in read])
        return Loaded(
            document,
            Digest.of(data),
            source,
            refused=sum(refused for _, refused in read),
            origin=getattr(source, "name", None),
            inline=bool(read) and not own,
            foreign="" if read else _kind(manifests),
        )

    def _read(self, source: ImageSource, manifest: Manifest) -> tuple[CacheDocument, int] | None:
        """The document of one manifest, and how many of its entries were refused; None: it is no cache."""
        if manifest.config.media_type == CONFIG_TYPE:
            document = decode(self._small(source, manifest.config), self.name)
        elif ANNOTATION in manifest.annotations:
            document = self._inline(source, manifest)
        else:
            return None
        return checked(document, manifest.layers)

    def digest(self) -> Digest | None:
        """The digest of what is there now, without reading it; None when there is nothing."""
        try:
            if self.is_folder:
                return Digest.of(open_source(self._where, self._session.registries()).manifest()[0])
            from pywerf.registry.docker_registry import RegistryDestination

            destination = self.destination()
            assert isinstance(destination, RegistryDestination)
            reference = destination.reference
            found = destination.client.find_manifest(reference.repository, reference.selector)
            return None if found is None else found.digest
        except RegistryNotFound:
            return None

    def destination(self, mount_from: Sequence[Reference] = ()) -> ImageDestination:
        """Where its parts are written."""
        return open_destination(self._where, self._session.registries(), mount_from=mount_from)

    def write(self, destination: ImageDestination, document: CacheDocument) -> Digest:
        """Write a document, whose layers are there already. Raises RegistryError, StoreError."""
        document, data = encode(document)
        config = Descriptor(CONFIG_TYPE, Digest.of(data), len(data))
        manifest = Manifest(media_types.OCI_MANIFEST, config, blobs_of(document), artifact_type=ARTIFACT_TYPE)
        if not destination.has_blob(config):
            destination.put_blob(config, lambda: iter((data,)))
        return destination.put_manifest(manifest.to_json(), manifest.media_type)

    @property
    def is_folder(self) -> bool:
        """Whether `locked` keeps everybody else out."""
        return self._where.transport == "oci"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Alone among those who write to this place from this machine (for a folder: from any)."""
        import fcntl

        with ExitStack() as stack:
            stack.enter_context(self._session.store.lock(f"cache-{Digest.of(self.name.encode()).short}"))
            if self.is_folder:
                folder = os.path.join(self._where.path, "blobs")
                try:
                    os.makedirs(folder, exist_ok=True)
                    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                except OSError as error:
                    raise BuildError(f"{folder}: {error.strerror}") from error
                stack.callback(os.close, descriptor)
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield

    def _chosen(self, source: ImageSource, index: Index, platforms: Sequence[Platform]) -> list[Manifest]:
        found: dict[Digest, Manifest] = {}
        for platform in platforms or (host_platform(),):
            chosen = index.select(platform)
            if chosen is not None and chosen.digest not in found:
                data, media_type = source.manifest(chosen.digest)
                manifest = parse_manifest(data, media_type or chosen.media_type, self.name)
                if isinstance(manifest, Index):
                    raise InvalidDocument(f"{self.name}: an index in an index")
                found[chosen.digest] = manifest
        return list(found.values())

    def _small(self, source: ImageSource, descriptor: Descriptor) -> bytes:
        """A document of the cache: what was read before is in the store."""
        from pywerf.registry.verify import MAX_DOCUMENT, read_document

        blobs = self._session.store.blobs
        if descriptor.size <= MAX_DOCUMENT and blobs.touch(descriptor.digest, descriptor.size):
            return blobs.read(descriptor.digest)
        data = read_document(source.blob(descriptor), descriptor, self.name)
        blobs.put(data)
        return data

    def _inline(self, source: ImageSource, manifest: Manifest) -> CacheDocument:
        """The records of an image: they name their layers by diff_id, which its config has in the manifest's order."""
        document = decode(manifest.annotations[ANNOTATION], self.name)
        config = ImageConfig.from_json(self._small(source, manifest.config), self.name)
        by_diff_id = {
            str(diff_id): LayerBlob.of(layer) for diff_id, layer in zip(config.diff_ids, manifest.layers, strict=False)
        }
        return CacheDocument(
            records=tuple(
                record if record.layer is None else msgspec.structs.replace(record, layer=by_diff_id[record.diff_id])
                for record in document.records
                if record.layer is None or record.diff_id in by_diff_id
            ),
            images={str(Digest.of(_draft(config))): config.created},
        )


def _draft(config: ImageConfig) -> bytes:
    """The config as it was before the image got its time of creation: see assemble."""
    history = tuple(
        msgspec.structs.replace(item, created="") if item.empty_layer and item.created == config.created else item
        for item in config.history
    )
    return msgspec.structs.replace(config, created="", history=history).to_json()


def place_of(session: Session, spec: CacheSpec) -> Place:
    """The place that a flag names."""
    if spec.path:
        return Place(session, TransportName("oci", os.path.abspath(spec.path), spec.tag), spec.name)
    return Place(session, TransportName("name", reference=spec.ref), spec.name)


def _joined(documents: Sequence[CacheDocument]) -> CacheDocument:
    """Those of several platforms as one."""
    images = {key: created for one in documents for key, created in one.images.items()}
    return CacheDocument(1, tuple(record for one in documents for record in one.records), images=images)


def _kind(manifests: Sequence[Manifest]) -> str:
    if not manifests:
        return "an index of images for other platforms"
    config = manifests[0].config.media_type
    if config in media_types.CONFIGS:
        return "an image without a cache in it"
    return f"something of the type {manifests[0].artifact_type or config}"
