"""`docker://`: images in registries, as source and destination of copies."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

from pywerf.oci.descriptor import Descriptor
from pywerf.oci.digest import Digest
from pywerf.oci.image_io import BlobChunks
from pywerf.oci.media_types import Compression
from pywerf.oci.reference import Reference
from pywerf.registry.client import RegistryClient
from pywerf.registry.verify import check_document

__all__ = ["RegistryDestination", "RegistrySource"]


class RegistrySource:
    """An image in a registry (ImageSource). `reference` is its name there, `name` as the user knows it.

    They differ for mirrors. The top manifest is asked for once and then pinned: a tag that moves
    meanwhile changes nothing.
    """

    def __init__(self, client: RegistryClient, reference: Reference, name: Reference | None = None) -> None:
        self.client = client
        self.reference = reference
        self.name = name or reference
        self._top: tuple[bytes, str, Digest] | None = None
        self._lock = threading.Lock()

    @property
    def digest(self) -> Digest:
        """The digest of the top manifest or index."""
        return self._pinned()[2]

    def manifest(self, digest: Digest | None = None) -> tuple[bytes, str]:
        """ImageSource: the top manifest or index, or another one of the repository by digest."""
        if digest is None or (self._top is not None and self._top[2] == digest):
            data, media_type, _ = self._pinned()
        else:
            data, media_type, _ = self.client.manifest(self.reference.repository, str(digest))
        return data, media_type

    def blob(self, descriptor: Descriptor) -> Iterator[bytes]:
        """ImageSource: chunks of a blob, verified."""
        return self.client.blob(self.reference.repository, descriptor)

    def _pinned(self) -> tuple[bytes, str, Digest]:
        with self._lock:
            if self._top is None:
                self._top = self.client.manifest(self.reference.repository, self.reference.selector)
            return self._top


class RegistryDestination:
    """A place in a registry (ImageDestination). `mount_from` are repositories of the same registry."""

    sequential = False
    layer_compression: Compression | None = None  # any

    def __init__(self, client: RegistryClient, reference: Reference, mount_from: tuple[str, ...] = ()) -> None:
        self.client = client
        self.reference = reference
        self.mount_from = mount_from
        self._there: set[Digest] = set()

    def has_blob(self, descriptor: Descriptor) -> bool:
        """ImageDestination: it is in the repository, or could be mounted from one of `mount_from`."""
        return self.take_over(descriptor.digest, self.mount_from)

    def take_over(self, digest: Digest, repositories: Sequence[str]) -> bool:
        """Whether a blob is there now: it was before, or could be mounted from one of these repositories."""
        if digest in self._there:
            return True
        repository = self.reference.repository
        if self.client.find_blob(repository, digest) is None and not any(
            self.client.mount_blob(repository, digest, origin) for origin in repositories
        ):
            return False
        self._there.add(digest)
        return True

    def put_blob(self, descriptor: Descriptor, chunks: BlobChunks) -> None:
        """ImageDestination: send a blob; what the registry has already is not asked for again."""
        if descriptor.digest not in self._there:
            self.client.put_blob(self.reference.repository, descriptor, chunks)
            self._there.add(descriptor.digest)

    def put_blob_stream(self, chunks: Iterator[bytes]) -> tuple[Digest, int]:
        """ImageDestination: send a blob while it is made."""
        digest, size = self.client.put_blob_stream(self.reference.repository, chunks)
        self._there.add(digest)
        return digest, size

    def put_manifest(self, data: bytes, media_type: str, *, top: bool = True) -> Digest:
        """ImageDestination: store it under the reference's tag (the top one), else under its digest alone."""
        digest = Digest.of(data)
        if top and self.reference.digest is not None:
            digest = check_document(data, self.reference.digest, str(self.reference))
        selector = self.reference.tag if top else ""
        if top and not selector and self.reference.digest is None:
            selector = "latest"
        return self.client.put_manifest(self.reference.repository, selector or str(digest), data, media_type)

    def close(self) -> None:
        """ImageDestination: nothing is left to do. Connections belong to the client's owner."""
