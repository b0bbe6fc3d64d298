"""Durations in Go's syntax: `1h30m`, `1.5s`, `-300ms` (time.ParseDuration, time.Duration.String)."""

from __future__ import annotations

__all__ = ["format_duration", "parse_duration"]

_UNITS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_LIMIT = 1 << 63


def parse_duration(text: str) -> int:
    """Nanoseconds. Raises ValueError in Go's words."""
    import re

    body = text[1:] if text[:1] in ("-", "+") else text
    if body == "0":
        return 0
    position = 0
    total = 0
    pattern = re.compile(r"([0-9]*)(?:\.([0-9]*))?(ns|us|µs|μs|ms|s|m|h)?")
    while position < len(body):
        found = pattern.match(body, position)
        if found is None or not (found[1] or found[2]):
            raise ValueError(f'invalid duration "{text}"')
        if found[3] is None:
            raise ValueError(f'missing unit in duration "{text}"')
        unit = _UNITS[found[3]]
        fraction = found[2] or ""
        total += int(found[1] or 0) * unit + (int(fraction) * unit // 10 ** len(fraction) if fraction else 0)
        position = found.end()
    if not body or total >= _LIMIT:
        raise ValueError(f'invalid duration "{text}"')
    return -total if text[0] == "-" else total


def format_duration(nanoseconds: int) -> str:
    """`2m5s`, `1.5s`, `300ms`, `0s`."""
    if not nanoseconds:
        return "0s"
    sign, rest = ("-", -nanoseconds) if nanoseconds < 0 else ("", nanoseconds)
    for unit, size in (("ns", 1_000), ("µs", 1_000_000), ("ms", 1_000_000_000)):
        if rest < size:
            return f"{sign}{_decimal(rest, _UNITS[unit])}{unit}"
    seconds = f"{_decimal(rest % _UNITS['m'], _UNITS['s'])}s"
    hours, minutes = rest // _UNITS["h"], rest % _UNITS["h"] // _UNITS["m"]
    if hours:
        return f"{sign}{hours}h{minutes}m{seconds}"
    return f"{sign}{minutes}m{seconds}" if minutes else sign + seconds


def _decimal(value: int, unit: int) -> str:
    whole, rest = divmod(value, unit)
    fraction = str(rest).rjust(len(str(unit)) - 1, "0").rstrip("0") if rest else ""
    return f"{whole}.{fraction}" if fraction else str(whole)
