"""Where a layer's tar goes: its diff_id and size are made in passing, and it may be compressed and stored."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

import msgspec

from pywerf.layer.compress import compressor
from pywerf.layer.pump import Consumer
from pywerf.oci.digest import Digest
from pywerf.oci.media_types import Compression

if TYPE_CHECKING:
    from pywerf.layer.compress import Compressor

__all__ = ["LayerSink", "LayerSum"]

_THREADED = 1 << 20  # from here on, what costs time runs on threads


class LayerSum(msgspec.Struct, frozen=True):
    """What a layer came to: `diff_id` and `size` of the tar, `digest` and `blob_size` of what was stored.

    Without compression the last two equal the first two.
    """

    diff_id: Digest
    size: int
    digest: Digest
    blob_size: int


class LayerSink:
    """Takes a tar in chunks. `write` may be given to a TarWriter, and is for one thread.

    `out` gets the blob (compressed as asked, or the tar itself), maybe on another thread, in order.
    Small layers are worked on in place; from 1 MiB on hashing and compressing run on a thread each,
    some MiB behind. Use it as a context manager: leaving it by an exception ends the threads.
    """

    def __init__(
        self,
        out: Callable[[bytes], object] | None = None,
        *,
        compression: Compression = "none",
        level: int | None = None,
        threads: int | None = None,
    ) -> None:
        self.size = 0
        self._out = out
        self._hash = hashlib.sha256()
        self._hasher: Consumer | None = None
        self._packer: Consumer | None = None
        self._blob_hash = hashlib.sha256()
        self._blob_size = 0
        self._compressor: Compressor | None = None
        if compression != "none":
            self._compressor = compressor(compression, self._blob, level=level, threads=threads)
        self._sum: LayerSum | None = None

    def write(self, chunk: bytes) -> None:
        """The next bytes of the tar. Raises what `out` raised, maybe some chunks later."""
        self.size += len(chunk)
        if self._hasher is None:
            if self.size <= _THREADED:
                self._hash.update(chunk)
                self._pack(chunk)
                return
            self._hasher = Consumer(self._hash.update, "layer-hash")
            if self._compressor is not None or self._out is not None:
                self._packer = Consumer(self._pack, "layer-pack")
        self._hasher.put(chunk)
        if self._packer is not None:
            self._packer.put(chunk)

    def finish(self) -> LayerSum:
        """Wait until everything is through. Idempotent. Raises what `out` raised."""
        if self._sum is None:
            if self._hasher is not None:
                self._hasher.close()
            if self._packer is not None:
                self._packer.close()
            if self._compressor is not None:
                self._compressor.close()
            diff_id = Digest.sha256(self._hash.hexdigest())
            if self._compressor is None:
                self._sum = LayerSum(diff_id, self.size, diff_id, self.size)
            else:
                digest = Digest.sha256(self._blob_hash.hexdigest())
                self._sum = LayerSum(diff_id, self.size, digest, self._blob_size)
        return self._sum

    def abort(self) -> None:
        """Give up: no thread is left behind. Idempotent."""
        for consumer in (self._hasher, self._packer):
            if consumer is not None:
                consumer.close(check=False)
        if self._compressor is not None:
            self._compressor.abort()

    def __enter__(self) -> LayerSink:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.finish()
        else:
            self.abort()

    def _pack(self, chunk: bytes) -> None:
        if self._compressor is not None:
            self._compressor.write(chunk)
        elif self._out is not None:
            self._out(chunk)

    def _blob(self, data: bytes) -> None:
        self._blob_hash.update(data)
        self._blob_size += len(data)
        if self._out is not None:
            self._out(data)
