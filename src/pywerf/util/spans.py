"""Stretches of work that a time line shows beside the steps: hashing, fetching, unpacking, sending."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

__all__ = ["Spans", "spans_of"]

Spans = Callable[[str, str], AbstractContextManager[object]]

_NOTHING: AbstractContextManager[object] = nullcontext()


def spans_of(reporter: object) -> Spans:
    """`span(kind, name)` of a reporter that draws a time line; of any other one what does nothing."""
    found: Spans | None = getattr(reporter, "span", None)
    return found if found is not None else _no_span


def _no_span(kind: str, name: str) -> AbstractContextManager[object]:
    return _NOTHING
