"""Where a vertex comes from: lines of a Dockerfile or of a werf.yaml."""

from __future__ import annotations

import msgspec

__all__ = ["SourceRange"]


class SourceRange(msgspec.Struct, frozen=True):
    """Lines `first` to `last` (from 1) of `file`; `str()` gives `file:first`."""

    file: str
    first: int
    last: int

    def __str__(self) -> str:
        return f"{self.file}:{self.first}"
