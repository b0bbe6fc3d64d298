"""Compressed streams as plain ones, a bounded piece at a time; the kind is known by the first bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any, cast

from pywerf.errors import ArchiveError

__all__ = ["MAGIC_LENGTH", "compression_of", "decompressed", "peeked"]

PIECE = 1 << 20
MAGIC_LENGTH = 6
_MAGIC = (("gzip", b"\x1f\x8b"), ("zstd", b"\x28\xb5\x2f\xfd"), ("bzip2", b"BZh"), ("xz", b"\xfd7zXZ\x00"))


def compression_of(beginning: bytes) -> str:
    """`gzip`, `zstd`, `bzip2`, `xz`, or "" for what is none of them."""
    return next((kind for kind, magic in _MAGIC if beginning.startswith(magic)), "")


def peeked(chunks: Iterable[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """The first bytes (MAGIC_LENGTH, fewer only at the end) and the whole stream again."""
    iterator = iter(chunks)
    taken: list[bytes] = []
    while sum(map(len, taken)) < MAGIC_LENGTH:
        chunk = next(iterator, None)
        if chunk is None:
            break
        taken.append(chunk)
    beginning = b"".join(taken)

    def whole() -> Iterator[bytes]:
        yield beginning
        yield from iterator

    return beginning[:MAGIC_LENGTH], whole()


def decompressed(chunks: Iterable[bytes], what: str) -> Iterator[bytes]:
    """The stream without its compression, if it has one; the input is read to its end. Raises ArchiveError."""
    beginning, whole = peeked(chunks)
    kind = compression_of(beginning)
    if not kind:
        return whole
    if kind == "zstd":
        return _zstd(whole, what)
    return _members(whole, kind, what)


def _decoder(kind: str) -> tuple[Callable[[], Any], tuple[type[Exception], ...]]:
    """What makes decoders with `decompress(data, max_length)`, `eof` and `unused_data`; and their errors."""
    if kind == "gzip":
        from isal import isal_zlib

        return lambda: isal_zlib.decompressobj(wbits=31), (cast("type[Exception]", isal_zlib.error), ValueError)
    if kind == "bzip2":
        import bz2

        return bz2.BZ2Decompressor, (OSError, ValueError)
    import lzma

    # xz -9 needs 65 MiB; a hostile dictionary size must not take all memory
    return lambda: lzma.LZMADecompressor(memlimit=512 << 20), (lzma.LZMAError, ValueError)


def _members(chunks: Iterator[bytes], kind: str, what: str) -> Iterator[bytes]:
    """gzip, bzip2, xz: several compressed streams in a row are one; zeros may follow them."""
    make, errors = _decoder(kind)
    decoder = make()
    for data in chunks:
        if decoder.eof:
            data = data.lstrip(b"\0")
            if not data:
                continue
            decoder = make()
        while True:
            try:
                piece = decoder.decompress(data, PIECE)
            except errors as error:
                raise ArchiveError(f"{what}: damaged {kind} data: {error}") from error
            if piece:
                yield piece
            if decoder.eof:
                data = decoder.unused_data.lstrip(b"\0")
                if not data:
                    break
                decoder = make()
                continue
            # bz2 and lzma keep what they could not use; all of them may keep output back
            data = getattr(decoder, "unconsumed_tail", b"")
            if not data and len(piece) < PIECE:
                break
    if not decoder.eof:
        raise ArchiveError(f"{what}: the {kind} data ends too early")


def _zstd(chunks: Iterator[bytes], what: str) -> Iterator[bytes]:
    import zstandard

    source = cast("IO[bytes]", _Reader(chunks))  # read() is all that is called
    reader = zstandard.ZstdDecompressor().stream_reader(source, read_size=256 << 10, read_across_frames=True)
    while True:
        try:
            piece = reader.read(PIECE)
        except zstandard.ZstdError as error:
            raise ArchiveError(f"{what}: damaged zstd data: {error}") from error
        if not piece:
            return
        yield piece


class _Reader:
    """Chunks as the file that zstandard reads from."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""

    def read(self, size: int) -> bytes:
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return b""
            self._rest = chunk
        out, self._rest = self._rest[:size], self._rest[size:]
        return out
