"""The fields of tar headers as numbers, names and records, for `tar_read` and `tar_write`.

Sources: IEEE Std 1003.1-2017 pax; tar(5) of libarchive; the GNU tar manual, "Tar Internals".
"""

from __future__ import annotations

import os
from zlib import adler32

__all__ = [
    "NAME_SIZE",
    "PREFIX_SIZE",
    "FieldError",
    "Segments",
    "byte_sum",
    "checked",
    "checksum_ok",
    "decode_xattr_key",
    "is_utf8",
    "number",
    "pax_decimal",
    "pax_record",
    "pax_records",
    "pax_time",
    "pax_time_text",
    "show",
    "sparse_list",
    "sparse_old",
    "split_name",
    "xattr_key",
]

# The data of a sparse file: (offset, length) in ascending order.
Segments = tuple[tuple[int, int], ...]

# The sizes of ustar's fields for names.
NAME_SIZE = 100
PREFIX_SIZE = 155
_MAX_SIZE = (1 << 63) - 1
_NANOSECONDS = 1_000_000_000


class FieldError(ValueError):
    """A field that does not say what it should; the reader adds which entry, and where."""


def number(field: bytes) -> int:
    """A numeric field: octal digits among spaces and NULs, or base 256 (GNU, star) with the top bit set."""
    digits = field.strip(b" \0")
    if digits.isdigit():
        try:
            return int(digits, 8)
        except ValueError as error:
            raise FieldError(f"bad octal number {digits!r}") from error
    if not digits:
        return 0
    first = field[0]
    if first & 0x80:
        # 0x80 is positive; 0xff begins a negative number in two's complement. Bit 6 is the sign.
        value = int.from_bytes(bytes((first & 0x7F,)) + field[1:], "big")
        return value - (1 << (8 * len(field) - 1)) if first & 0x40 else value
    # Some writers leave something after the terminator.
    head = digits.split(b"\0", 1)[0].split(b" ", 1)[0]
    if head != digits and head.isdigit():
        return number(head)
    raise FieldError(f"bad number {field!r}")


def byte_sum(data: bytes) -> int:
    """The sum of at most 256 bytes: adler32's lower half is exactly that, in C, plus one, modulo 65521."""
    return (adler32(data) & 0xFFFF) - 1


def checksum_ok(header: bytes) -> bool:
    """Whether a header's checksum is right: the sum of its bytes, the field itself taken as spaces.

    Some old systems summed signed bytes.
    """
    try:
        expected = number(header[148:156])
    except FieldError:
        return False
    actual = 256 + byte_sum(header[:148]) + byte_sum(header[156:345]) + byte_sum(header[345:])
    if actual == expected:
        return True
    signed = actual - 256 * sum(1 for byte in header[:148] + header[156:] if byte >= 0x80)
    return signed == expected


def pax_records(body: bytes) -> list[tuple[bytes, bytes]]:
    """The records of a pax header, in order. Values may hold any byte."""
    records: list[tuple[bytes, bytes]] = []
    position = 0
    end = len(body)
    while position < end:
        space = body.find(b" ", position, position + 20)
        digits = body[position:space] if space > 0 else b""
        if not digits.isdigit():
            if not body[position:].strip(b"\0"):
                break  # padding inside the announced size
            raise FieldError("bad length in a pax record")
        stop = position + int(digits)
        equals = body.find(b"=", space, stop)
        if stop > end or equals < 0 or body[stop - 1 : stop] != b"\n" or stop <= space:
            raise FieldError("malformed pax record")
        records.append((body[space + 1 : equals], body[equals + 1 : stop - 1]))
        position = stop
    return records


def pax_decimal(value: bytes) -> int:
    """A decimal integer that is not negative and fits 63 bits."""
    if not value.isdigit() or len(value) > 19 or int(value) > _MAX_SIZE:
        raise FieldError(f"bad number {value!r}")
    return int(value)


def pax_time(value: bytes) -> int:
    """Decimal seconds, with or without a fraction, in nanoseconds; what is finer is cut off."""
    whole, _, fraction = value.partition(b".")
    sign = -1 if whole.startswith(b"-") else 1
    digits = whole.lstrip(b"-") or b"0"
    if not digits.isdigit() or len(digits) > 15 or not (fraction.isdigit() or not fraction) or whole[1:2] == b"-":
        raise FieldError(f"bad time {value!r}")
    return sign * (int(digits) * _NANOSECONDS + int(fraction[:9].ljust(9, b"0")))


def decode_xattr_key(key: bytes) -> str:
    """An xattr's name from the rest of its pax keyword, with the encoding of `=` undone that GNU tar uses."""
    if b"%3D" in key:
        key = key.replace(b"%3D", b"=").replace(b"%25", b"%")
    return os.fsdecode(key)


def checked(segments: list[tuple[int, int]], real_size: int, stored: int) -> Segments:
    """A sparse map in order, inside the file, with as much data as the archive holds; empty pieces left out."""
    position = 0
    total = 0
    for offset, length in segments:
        if offset < position or length < 0 or offset + length > real_size:
            raise FieldError("bad sparse map")
        position = offset + length
        total += length
    if total != stored:
        raise FieldError(f"the sparse map has {total} bytes of data, the entry {stored}")
    return tuple(segment for segment in segments if segment[1])


def sparse_list(numbers: list[bytes]) -> list[tuple[int, int]]:
    """Offsets and lengths in turn, as decimal numbers."""
    if len(numbers) % 2:
        raise FieldError("bad sparse map")
    values = [pax_decimal(value) for value in numbers]
    return list(zip(values[::2], values[1::2], strict=True))


def sparse_old(block: bytes, start: int, count: int) -> list[tuple[int, int]]:
    """The entries of an old GNU sparse header: 12 bytes offset, 12 bytes length, until an empty one."""
    segments: list[tuple[int, int]] = []
    for at in range(start, start + 24 * count, 24):
        if block[at : at + 24].strip(b"\0 ") == b"":
            break
        segments.append((number(block[at : at + 12]), number(block[at + 12 : at + 24])))
    return segments


def show(name: bytes) -> str:
    """A name from an archive or a file system for a message."""
    return name.decode("utf-8", "backslashreplace")


def pax_record(key: bytes, value: bytes) -> bytes:
    """`LENGTH KEY=VALUE\\n`, where LENGTH counts its own digits."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    if len(str(length)) != len(str(rest)):
        length += 1
    return b"%d %b=%b\n" % (length, key, value)


def pax_time_text(seconds: int, nanoseconds: int) -> bytes:
    """Decimal seconds, exact, without trailing zeros; `nanoseconds` counts forward from `seconds`."""
    if not nanoseconds:
        return b"%d" % seconds
    sign = b""
    if seconds < 0:
        sign, seconds, nanoseconds = b"-", -seconds - 1, _NANOSECONDS - nanoseconds
    return (b"%b%d.%09d" % (sign, seconds, nanoseconds)).rstrip(b"0")


def xattr_key(name: str) -> bytes:
    """The pax keyword of an xattr; `=` would end a keyword, and is written as GNU tar writes it."""
    raw = os.fsencode(name)
    if b"=" in raw:
        raw = raw.replace(b"%", b"%25").replace(b"=", b"%3D")
    return b"SCHILY.xattr." + raw


def split_name(name: bytes) -> tuple[bytes, bytes] | None:
    """`name` as ustar's (prefix, name), with the longest prefix that leaves a name; None when it does not fit."""
    cut = name.rfind(b"/", 0, min(PREFIX_SIZE + 1, len(name) - 1))
    if cut <= 0 or len(name) - cut - 1 > NAME_SIZE:
        return None
    return name[:cut], name[cut + 1 :]


def is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
