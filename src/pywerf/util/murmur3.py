"""MurmurHash3, 32 bits (x86 variant, seed 0), as werf writes it: hexadecimal without leading zeros."""

from __future__ import annotations

__all__ = ["murmur3_32", "murmur3_hex"]

_MASK = 0xFFFFFFFF
_C1, _C2 = 0xCC9E2D51, 0x1B873593


def murmur3_32(data: bytes) -> int:
    """The hash of `data` as a number of 32 bits (Austin Appleby, MurmurHash3.cpp, public domain algorithm)."""
    value = 0
    whole = len(data) & ~3
    for at in range(0, whole, 4):
        value ^= _mix(int.from_bytes(data[at : at + 4], "little"))
        value = (_rotate(value, 13) * 5 + 0xE6546B64) & _MASK
    if whole < len(data):
        value ^= _mix(int.from_bytes(data[whole:], "little"))
    value ^= len(data)
    value = (value ^ value >> 16) * 0x85EBCA6B & _MASK
    value = (value ^ value >> 13) * 0xC2B2AE35 & _MASK
    return value ^ value >> 16


def murmur3_hex(*parts: str) -> str:
    """The hash of texts joined by `:::`, 1 to 8 hexadecimal digits."""
    return f"{murmur3_32(':::'.join(parts).encode()):x}"


def _mix(block: int) -> int:
    return _rotate(block * _C1 & _MASK, 15) * _C2 & _MASK


def _rotate(value: int, bits: int) -> int:
    return (value << bits | value >> 32 - bits) & _MASK
