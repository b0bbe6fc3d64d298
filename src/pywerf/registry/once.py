"""Several images that are copied to one place at the same time: a blob that more than one of them has is sent once."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from pywerf.oci.descriptor import Descriptor
from pywerf.oci.digest import Digest
from pywerf.oci.image_io import BlobChunks, ImageDestination
from pywerf.util.promise import Promise

__all__ = ["BlobsOnTheirWay", "OnceDestination"]


class BlobsOnTheirWay:
    """What is being sent, or was, to one place."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[Digest, Promise[None]] = {}

    def claim(self, digest: Digest) -> tuple[Promise[None], bool]:
        """The promise that the blob will be there, and whether it is the caller who has to keep it."""
        with self._lock:
            known = self._known.get(digest)
            if known is None:
                known = self._known[digest] = Promise()
                return known, True
            return known, False

    def of(self, digest: Digest) -> Promise[None]:
        """The promise of a blob that was claimed."""
        with self._lock:
            return self._known[digest]


class OnceDestination:
    """An ImageDestination whose blobs others may be sending to the same place: then it waits for them.

    Nobody waits while somebody else waits for him: a thread sends one blob at a time, and waits for one only before it
    begins.
    """

    def __init__(self, inner: ImageDestination, blobs: BlobsOnTheirWay) -> None:
        self._inner = inner
        self._blobs = blobs

    def has_blob(self, descriptor: Descriptor) -> bool:
        """ImageDestination: it is there, or comes by somebody else; that is waited for. False: `put_blob` it."""
        promise, mine = self._blobs.claim(descriptor.digest)
        if not mine:
            promise.result()
            return True
        try:
            found = self._inner.has_blob(descriptor)
        except BaseException as error:
            promise.fail(error)
            raise
        if found:
            promise.resolve(None)
        return found

    def put_blob(self, descriptor: Descriptor, chunks: BlobChunks) -> None:
        """ImageDestination: after `has_blob` only."""
        promise = self._blobs.of(descriptor.digest)
        try:
            self._inner.put_blob(descriptor, chunks)
        except BaseException as error:
            promise.fail(error)
            raise
        promise.resolve(None)

    def put_blob_stream(self, chunks: Iterator[bytes]) -> tuple[Digest, int]:
        """ImageDestination: nobody else makes the same."""
        return self._inner.put_blob_stream(chunks)

    def put_manifest(self, data: bytes, media_type: str, *, top: bool = True) -> Digest:
        """ImageDestination."""
        return self._inner.put_manifest(data, media_type, top=top)

    def close(self) -> None:
        """ImageDestination."""
        self._inner.close()
