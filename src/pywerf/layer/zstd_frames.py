"""Where the frames of a zstd stream end, found without decompressing (RFC 8878, sections 3.1.1 and 3.1.2)."""

from __future__ import annotations

from typing import Literal

__all__ = ["FrameScanner"]

_FRAME = b"\x28\xb5\x2f\xfd"
_SKIPPABLE = b"\x2a\x4d\x18"
_ID_SIZES = (0, 1, 2, 4)
_CONTENT_SIZES = (0, 2, 4, 8)

_State = Literal["magic", "skippable", "descriptor", "block", "end"]
# How many bytes each state looks at.
_WANTED: dict[_State, int] = {"magic": 4, "skippable": 4, "descriptor": 1, "block": 3, "end": 0}


class FrameScanner:
    """Follows a stream in pieces of any size. `complete`: it may end here, between two frames.

    What is no zstd at all counts as incomplete from there on; to say what is wrong with it is the decoder's part.
    """

    def __init__(self) -> None:
        self._state: _State = "magic"
        self._held = b""
        self._skip = 0  # bytes to pass over before the state looks at any
        self._checksum = 0

    @property
    def complete(self) -> bool:
        """Whether nothing has begun that has not ended."""
        return self._state == "magic" and not self._held and not self._skip

    def feed(self, data: bytes) -> None:
        """The next bytes of the stream."""
        at = 0
        end = len(data)
        while at < end and self._state != "end":
            if self._skip:
                step = min(self._skip, end - at)
                self._skip -= step
                at += step
                continue
            part = data[at : at + _WANTED[self._state] - len(self._held)]
            at += len(part)
            self._held += part
            if len(self._held) == _WANTED[self._state]:
                taken, self._held = self._held, b""
                self._step(taken)

    def _step(self, taken: bytes) -> None:
        value = int.from_bytes(taken, "little")
        if self._state == "magic":
            if taken == _FRAME:
                self._state = "descriptor"
            elif taken[1:] == _SKIPPABLE and taken[0] >> 4 == 5:
                self._state = "skippable"
            else:
                self._state = "end"
        elif self._state == "skippable":
            self._skip = value
            self._state = "magic"
        elif self._state == "descriptor":
            single_segment = value >> 5 & 1
            window = 0 if single_segment else 1
            content_size = _CONTENT_SIZES[value >> 6] or single_segment
            self._skip = window + _ID_SIZES[value & 3] + content_size
            self._checksum = 4 if value & 4 else 0
            self._state = "block"
        else:
            last, kind, size = value & 1, value >> 1 & 3, value >> 3
            self._skip = 1 if kind == 1 else size  # 1: one byte, to be repeated
            if last:
                self._skip += self._checksum
                self._state = "magic"
