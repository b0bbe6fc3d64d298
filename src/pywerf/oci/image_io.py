"""The two Protocols behind every transport: where images come from and where they go.

Registries, OCI layouts, archives, the docker daemon and the store itself implement them, so that a
copy between any two is one function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from pywerf.oci.descriptor import Descriptor
from pywerf.oci.digest import Digest

__all__ = ["BlobChunks", "ImageDestination", "ImageSource"]

# A stream that can be started again (for retries): calling it yields the blob from its first byte.
BlobChunks = Callable[[], Iterator[bytes]]


class ImageSource(Protocol):
    """An image, or an index of images, that can be read."""

    def manifest(self, digest: Digest | None = None) -> tuple[bytes, str]:
        """The bytes and media type of the top manifest or index, or of the one with `digest`.

        Raises RegistryNotFound (or StoreError for local places) when there is none.
        """

    def blob(self, descriptor: Descriptor) -> Iterator[bytes]:
        """Chunks of the blob, verified as they pass: DigestMismatch follows the last one when it is wrong."""


class ImageDestination(Protocol):
    """A place that takes one image. Nothing is visible there before `put_manifest` of the top manifest."""

    def has_blob(self, descriptor: Descriptor) -> bool:
        """Whether the blob is there already, or could be put there without sending it. Idempotent."""

    def put_blob(self, descriptor: Descriptor, chunks: BlobChunks) -> None:
        """Store a blob whose digest and size are known. Idempotent; atomic: whole or not at all."""

    def put_blob_stream(self, chunks: Iterator[bytes]) -> tuple[Digest, int]:
        """Store a blob of unknown digest while it is made; returns its digest and size. Atomic."""

    def put_manifest(self, data: bytes, media_type: str, *, top: bool = True) -> Digest:
        """Store a manifest or index; `top` also gives it the destination's name. Atomic."""

    def close(self) -> None:
        """Finish: write what is still missing (an archive's end, an index.json). Idempotent."""
