"""A time in which nothing is shown: somebody else has the terminal."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

__all__ = ["suspended"]


def suspended(reporter: object) -> AbstractContextManager[object]:
    """While this is entered a reporter writes nothing; what it is told meanwhile comes afterwards.

    A reporter that knows no such time goes on.
    """
    found: Callable[[], AbstractContextManager[object]] | None = getattr(reporter, "suspended", None)
    return nullcontext() if found is None else found()
