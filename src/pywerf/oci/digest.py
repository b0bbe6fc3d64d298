"""Digests: `algorithm:hex` (OCI image-spec, descriptor.md#digests)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec

from pywerf.errors import InvalidDigest

__all__ = ["EMPTY_SHA256", "Digest"]

_HEX_LENGTHS = {"sha256": 64, "sha512": 128, "sha384": 96}
_HEX = frozenset("0123456789abcdef")


class Digest(msgspec.Struct, frozen=True, order=True):
    """A content address. `str()` gives `algorithm:hex`; both parts are already valid."""

    algorithm: str
    hex: str

    @classmethod
    def parse(cls, text: str) -> Digest:
        """Read `sha256:…`, `sha384:…` or `sha512:…`; raises InvalidDigest for anything else."""
        algorithm, colon, value = text.partition(":")
        length = _HEX_LENGTHS.get(algorithm)
        if not colon or length is None:
            raise InvalidDigest(f"invalid digest {text!r}: expected sha256:, sha384: or sha512: and hexadecimal digits")
        if len(value) != length or not _HEX.issuperset(value):
            raise InvalidDigest(f"invalid digest {text!r}: {algorithm} needs {length} lower-case hexadecimal digits")
        return cls(algorithm, value)

    @classmethod
    def sha256(cls, hex: str) -> Digest:
        """A sha256 digest from hexadecimal digits that are known to be right."""
        return cls("sha256", hex)

    @classmethod
    def of(cls, data: bytes) -> Digest:
        """The sha256 digest of `data`."""
        return cls("sha256", hashlib.sha256(data).hexdigest())

    @classmethod
    def of_chunks(cls, chunks: Iterable[bytes]) -> Digest:
        """The sha256 digest of the concatenated chunks."""
        state = hashlib.sha256()
        for chunk in chunks:
            state.update(chunk)
        return cls("sha256", state.hexdigest())

    @property
    def short(self) -> str:
        """The first twelve hexadecimal digits, as image ids are shown."""
        return self.hex[:12]

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"


EMPTY_SHA256 = Digest("sha256", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
