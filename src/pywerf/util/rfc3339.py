"""Times as images have them (RFC 3339, fractions of up to nine digits), in nanoseconds."""

from __future__ import annotations

import re
from functools import cache

__all__ = ["nanoseconds"]


@cache
def _pattern() -> re.Pattern[str]:
    return re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d+))?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def nanoseconds(text: str) -> int:
    """Nanoseconds since 1970 of `2024-01-31T12:00:00.123456789Z`; 0 for what is no time."""
    found = _pattern().fullmatch(text)
    if found is None:
        return 0
    from datetime import UTC, datetime, timedelta

    day, clock, fraction, zone = found.groups()
    try:
        moment = datetime.fromisoformat(f"{day}T{clock}{'+00:00' if zone in 'Zz' else zone}")
    except ValueError:
        return 0
    whole = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1)
    return whole * 1_000_000_000 + int((fraction or "0")[:9].ljust(9, "0"))
