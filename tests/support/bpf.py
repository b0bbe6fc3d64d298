"""A small interpreter of classic BPF, for seccomp's programs."""

from __future__ import annotations

import struct

__all__ = ["simulate"]


def simulate(program: bytes, data: bytes) -> tuple[int, int]:
    """(action, number of instructions); every jump must stay inside and go forward, as the kernel demands."""
    instructions = [struct.unpack_from("<HBBI", program, at) for at in range(0, len(program), 8)]
    accumulator = at = steps = 0
    while True:
        assert 0 <= at < len(instructions)
        code, if_true, if_false, constant = instructions[at]
        at += 1
        steps += 1
        if code == 0x20:
            assert constant % 4 == 0
            (accumulator,) = struct.unpack_from("<I", data, constant)
        elif code == 0x05:
            at += constant
        elif code == 0x15:
            at += if_true if accumulator == constant else if_false
        elif code == 0x35:
            at += if_true if accumulator >= constant else if_false
        elif code == 0x45:
            at += if_true if accumulator & constant else if_false
        elif code == 0x25:
            at += if_true if accumulator > constant else if_false
        elif code == 0x54:
            accumulator &= constant
        elif code == 0x06:
            return constant, steps
        else:
            raise AssertionError(f"unknown instruction {code:#x}")
