"""An HTTP response as it comes from either kind of connection (direct.py, proxied.py), and its headers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

__all__ = ["CutShort", "Headers", "NoAnswer", "Response", "decoded"]

PIECE = 256 << 10


class NoAnswer(Exception):
    """The connection ended without an answer, or with one that is no HTTP."""


class CutShort(NoAnswer):
    """The connection ended within a body."""


class Headers:
    """Headers whose names have no case."""

    __slots__ = ("_values",)

    def __init__(self, items: Iterable[tuple[str, str]] = ()) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in items:
            self._values.setdefault(name.strip().lower(), []).append(value.strip())

    def get(self, name: str, default: str = "") -> str:
        """The value; that of a header which is there several times, with commas between (RFC 9110, 5.3)."""
        found = self._values.get(name.lower())
        return default if found is None else ", ".join(found)

    def getlist(self, name: str) -> list[str]:
        """The values, one a header."""
        return list(self._values.get(name.lower(), ()))


class Response(Protocol):
    """Status, headers and a body that is still to be read. For one thread at a time.

    Whoever has one either releases or closes it: until then its connection serves nobody else.
    """

    @property
    def status(self) -> int:
        """The status code."""

    @property
    def reason(self) -> str:
        """What the server says to the status; may be empty."""

    @property
    def headers(self) -> Headers:
        """The headers."""

    @property
    def left(self) -> int | None:
        """How many bytes of the body are still to be read; None when that is not known before its end."""

    def read(self, amount: int) -> bytes:
        """Up to `amount` bytes of the body, as they were sent; empty at its end.

        Raises CutShort, OSError (with TimeoutError and ssl.SSLError).
        """

    def release(self) -> None:
        """Done: the connection is kept for the next request if the whole body was read, else closed. Idempotent."""

    def close(self) -> None:
        """Done, and the connection is not to be used again. Nothing happens after a release. Idempotent."""


def decoded(response: Response) -> Iterator[bytes]:
    """The body in pieces, without the compression that some servers apply unasked. Raises as `read` does."""
    if response.headers.get("Content-Encoding").strip().lower() not in ("gzip", "x-gzip", "deflate"):
        while piece := response.read(PIECE):
            yield piece
        return
    import zlib

    decompressor = zlib.decompressobj(32 + zlib.MAX_WBITS)
    try:
        while piece := response.read(PIECE):
            while piece and not decompressor.eof:
                yield decompressor.decompress(piece, PIECE)
                piece = decompressor.unconsumed_tail
        yield decompressor.flush()
    except zlib.error as error:
        raise CutShort from error
    if not decompressor.eof:
        raise CutShort
