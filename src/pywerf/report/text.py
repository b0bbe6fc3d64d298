"""Text of a build made fit for people: sizes, times, and output that cannot harm a terminal."""

from __future__ import annotations

import functools
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import re

__all__ = ["OutputLines", "clean", "human_size", "seconds"]

# A line that never ends is cut here, so that a command cannot fill the memory with one line.
MAX_LINE = 64 << 10


@functools.cache
def _controls() -> re.Pattern[str]:
    import re

    return re.compile(
        r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor movement
        r"|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?"  # OSC, DCS and the like: titles, clipboard
        r"|\x1b[ -/]*[0-~]?"  # other escapes
        r"|[\x00-\x08\x0b-\x1f\x7f-\x9f]"
    )


def clean(text: str, *, color: bool = False) -> str:
    """`text` without control sequences, so that foreign text cannot steer the terminal.

    Of a line that was overwritten with carriage returns its last state stays. Colours (SGR) stay
    when `color` is true; tabs and newlines always do.
    """
    if text.isprintable():
        return text
    if "\r" in text:
        lines = text.split("\n")
        for n, line in enumerate(lines):
            lines[n] = line.rstrip("\r").rpartition("\r")[2]
        text = "\n".join(lines)
    if not color:
        return _controls().sub("", text)
    return _controls().sub(
        lambda found: found[0] if found[0].startswith("\x1b[") and found[0].endswith("m") else "", text
    )


class OutputLines:
    """Cuts a stream of bytes into clean lines, and remembers the last ones.

    A line is decoded when it is whole, so that a character cut in two by a read stays one.
    """

    __slots__ = ("_color", "_rest", "last")

    def __init__(self, *, color: bool = False, keep: int = 20) -> None:
        self._rest = b""
        self._color = color
        self.last: deque[str] = deque(maxlen=keep)

    def feed(self, data: bytes) -> list[str]:
        """The lines that `data` completes."""
        data = self._rest + data
        pieces = data.split(b"\n")
        self._rest = pieces.pop()
        if len(self._rest) > MAX_LINE:
            pieces.append(self._rest)
            self._rest = b""
        return self._lines(pieces)

    def finish(self) -> list[str]:
        """The last line when it had no end, or nothing."""
        rest, self._rest = self._rest, b""
        return self._lines([rest]) if rest else []

    @property
    def partial(self) -> str:
        """The line that has not ended yet, as far as it came."""
        return clean(self._rest.decode(errors="replace"), color=self._color) if self._rest else ""

    def _lines(self, pieces: list[bytes]) -> list[str]:
        lines = [clean(piece.decode(errors="replace"), color=self._color) for piece in pieces]
        self.last.extend(lines)
        return lines


def human_size(size: float) -> str:
    """A size in decimal units, four digits, as docker shows it: `4.13 kB`, `77.8 MB`."""
    units = ["B", "kB", "MB", "GB", "TB", "PB"]
    while size >= 1000 and len(units) > 1:
        size /= 1000
        del units[0]
    return f"{size:.4g} {units[0]}"


def seconds(duration: float) -> str:
    """A duration as `0.4s`; from a minute on as `1m12s`."""
    if duration < 60:
        return f"{duration:.1f}s"
    minutes, rest = divmod(int(duration), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02d}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m{rest:02d}s"
