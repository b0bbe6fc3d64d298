"""Streams that are checked while they pass."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable, Iterator

from pywerf.errors import DigestMismatch, InvalidDocument
from pywerf.oci.descriptor import Descriptor
from pywerf.oci.digest import Digest

__all__ = ["MAX_DOCUMENT", "check_document", "closing", "digest_of", "exactly", "read_document", "skipping", "verified"]

# What is read into memory as a whole: manifests, indexes, configs. Registries refuse more than 4 MiB.
MAX_DOCUMENT = 8 << 20


@contextlib.contextmanager
def closing(chunks: Iterable[bytes]) -> Iterator[None]:
    """Close the generator that chunks come from when the block ends: its connection or file must not wait for the
    garbage collector."""
    try:
        yield
    finally:
        close = getattr(chunks, "close", None)
        if close is not None:
            close()


def verified(chunks: Iterable[bytes], descriptor: Descriptor, what: str = "") -> Iterator[bytes]:
    """The chunks as they come; DigestMismatch at the first byte too much, or after the last chunk."""
    what = what or str(descriptor.digest)
    state = hashlib.new(descriptor.digest.algorithm)
    for chunk in exactly(chunks, descriptor.size, what):
        state.update(chunk)
        yield chunk
    if state.hexdigest() != descriptor.digest.hex:
        raise DigestMismatch(what, str(descriptor.digest), f"{descriptor.digest.algorithm}:{state.hexdigest()}")


def exactly(chunks: Iterable[bytes], size: int, what: str) -> Iterator[bytes]:
    """The chunks, if they are `size` bytes together: DigestMismatch before a byte too much, or at the end."""
    left = size
    with closing(chunks):
        for chunk in chunks:
            left -= len(chunk)
            if left < 0:
                raise DigestMismatch(what, f"{size} bytes", "more")
            yield chunk
    if left:
        raise DigestMismatch(what, f"{size} bytes", f"{size - left} bytes")


def skipping(chunks: Iterable[bytes], count: int) -> Iterator[bytes]:
    """The chunks without their first `count` bytes."""
    with closing(chunks):
        for chunk in chunks:
            if count >= len(chunk):
                count -= len(chunk)
                continue
            yield chunk[count:] if count else chunk
            count = 0


def digest_of(data: bytes, algorithm: str = "sha256") -> Digest:
    """The digest of `data`."""
    return Digest(algorithm, hashlib.new(algorithm, data).hexdigest())


def check_document(data: bytes, digest: Digest | None, what: str) -> Digest:
    """The digest of a document; DigestMismatch when it is not the expected one."""
    actual = digest_of(data, digest.algorithm if digest is not None else "sha256")
    if digest is not None and actual != digest:
        raise DigestMismatch(what, str(digest), str(actual))
    return actual


def read_document(chunks: Iterable[bytes], descriptor: Descriptor, what: str) -> bytes:
    """A small verified blob as bytes. InvalidDocument when it claims to be too large for a document."""
    if descriptor.size > MAX_DOCUMENT:
        raise InvalidDocument(f"{what}: {descriptor.size} bytes are too many for a document")
    return b"".join(verified(chunks, descriptor, what))
