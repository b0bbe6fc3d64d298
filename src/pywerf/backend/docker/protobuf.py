"""As much of protocol buffers as BuildKit's messages need: fields with varints and with bytes."""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["Message", "bytes_field", "int_field", "varint"]


class Message:
    """The fields of an encoded message. Unknown fields are kept and do not matter; what is missing is empty.

    Raises ValueError when it is made from what is no message.
    """

    __slots__ = ("_fields",)

    def __init__(self, data: bytes) -> None:
        self._fields: dict[int, list[int | bytes]] = {}
        for number, value in _parse(data):
            self._fields.setdefault(number, []).append(value)

    def number(self, field: int) -> int:
        """The last value of a varint field, 0 without one."""
        value = self._fields.get(field, [0])[-1]
        return value if isinstance(value, int) else 0

    def data(self, field: int) -> bytes:
        """The last value of a bytes field."""
        value = self._fields.get(field, [b""])[-1]
        return value if isinstance(value, bytes) else b""

    def text(self, field: int) -> str:
        """The same as text."""
        return self.data(field).decode("utf-8", "replace")

    def messages(self, field: int) -> list[Message]:
        """All values of a field whose type is a message."""
        return [Message(value) for value in self._fields.get(field, []) if isinstance(value, bytes)]

    def __contains__(self, field: int) -> bool:
        return field in self._fields


def _parse(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    position = 0
    while position < len(data):
        key, position = _read_varint(data, position)
        kind = key & 7
        if kind == 0:
            value, position = _read_varint(data, position)
            yield key >> 3, value
            continue
        if kind == 2:
            size, position = _read_varint(data, position)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise ValueError(f"unknown wire type {kind}")
        if position + size > len(data):
            raise ValueError("the message ends within a field")
        yield key >> 3, data[position : position + size]
        position += size


def _read_varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 70:
        if position >= len(data):
            raise ValueError("the message ends within a number")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, position
        shift += 7
    raise ValueError("a number of more than ten bytes")


def varint(value: int) -> bytes:
    """A number as a varint; negative ones in two's complement of 64 bits."""
    value &= 0xFFFF_FFFF_FFFF_FFFF
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def int_field(field: int, value: int) -> bytes:
    """A varint field; nothing for 0, which is what a missing one means."""
    return varint(field << 3) + varint(value) if value else b""


def bytes_field(field: int, value: bytes | str, *, always: bool = False) -> bytes:
    """A bytes or string field, or an encoded message; nothing for an empty one unless `always`."""
    if isinstance(value, str):
        value = value.encode("utf-8", "surrogateescape")
    return varint(field << 3 | 2) + varint(len(value)) + value if value or always else b""
