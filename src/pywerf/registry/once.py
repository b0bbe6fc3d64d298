"""Several images that are copied to one place at the same time: a blob that more than one of them has is sent once."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from pywerf.errors import BuildStopped
from pywerf.oci.descriptor import Descriptor
from pywerf.oci.digest import Digest
from pywerf.oci.image_io import BlobChunks, ImageDestination
from pywerf.registry.verify import closing
from pywerf.util.promise import Promise

__all__ = ["BlobsOnTheirWay", "OnceDestination"]


class BlobsOnTheirWay:
    """What is being sent, or was, to one place."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[Digest, Promise[None]] = {}

    def claim(self, digest: Digest) -> Promise[None] | None:
        """The promise of somebody else that the blob will be there, or None: now it is for the caller to send it."""
        with self._lock:
            known = self._known.get(digest)
            if known is None:
                self._known[digest] = Promise()
            return known

    def sent(self, digest: Digest) -> None:
        """What the caller has claimed is there."""
        with self._lock:
            self._known[digest].resolve(None)

    def failed(self, digest: Digest, error: BaseException) -> None:
        """The caller could not send it: others may claim it."""
        with self._lock:
            self._known.pop(digest).fail(error)


class OnceDestination:
    """An ImageDestination whose blobs others may be sending to the same place: then it waits for them.

    Nobody waits while somebody else waits for him: a thread sends one blob at a time, and waits for one only before it
    begins. `stop`: nothing more is to be sent, since something has failed.
    """

    def __init__(self, inner: ImageDestination, blobs: BlobsOnTheirWay, stop: threading.Event) -> None:
        self._inner = inner
        self._blobs = blobs
        self._stop = stop

    def has_blob(self, descriptor: Descriptor) -> bool:
        """ImageDestination: it is there, or comes by somebody else; that is waited for. False: `put_blob` it."""
        digest = descriptor.digest
        while (promise := self._blobs.claim(digest)) is not None:
            promise.wait()
            if not promise.failed:
                return True
        try:
            self._check()
            found = self._inner.has_blob(descriptor)
        except BaseException as error:
            self._blobs.failed(digest, error)
            raise
        if found:
            self._blobs.sent(digest)
        return found

    def put_blob(self, descriptor: Descriptor, chunks: BlobChunks) -> None:
        """ImageDestination: after `has_blob` only."""
        try:
            self._inner.put_blob(descriptor, lambda: self._until_stopped(chunks()))
        except BaseException as error:
            self._blobs.failed(descriptor.digest, error)
            raise
        self._blobs.sent(descriptor.digest)

    def put_blob_stream(self, chunks: Iterator[bytes]) -> tuple[Digest, int]:
        """ImageDestination: nobody else makes the same."""
        return self._inner.put_blob_stream(chunks)

    def put_manifest(self, data: bytes, media_type: str, *, top: bool = True) -> Digest:
        """ImageDestination."""
        self._check()
        return self._inner.put_manifest(data, media_type, top=top)

    def close(self) -> None:
        """ImageDestination."""
        self._inner.close()

    def _until_stopped(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        with closing(chunks):
            for chunk in chunks:
                self._check()
                yield chunk

    def _check(self) -> None:
        if self._stop.is_set():
            raise BuildStopped
