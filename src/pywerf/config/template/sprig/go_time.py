"""Go's layouts of times (`2006-01-02 15:04:05 -0700 MST`): time.Format and time.Parse."""

from __future__ import annotations

import functools
import re
from datetime import UTC, datetime

__all__ = ["format_time", "parse_time", "zone_name"]

_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@functools.cache
def _directive() -> re.Pattern[str]:
    # Longer ones first; "Jan" must not begin a longer word in lower case, as in Go.
    return re.compile(
        r"January|Jan(?![a-z])|Monday|Mon(?![a-z])|MST|2006|-07:00:00|-070000|-07:00|-0700|-07|Z07:00:00|Z070000"
        r"|Z07:00|Z0700|Z07|002|01|02|03|04|05|06|__2|_2(?!006)|15|PM|pm|[.,]0+(?![0-9])|[.,]9+(?![0-9])|1|2|3|4|5"
    )


def zone_name(when: datetime) -> str:
    """The abbreviation of the zone, or its offset."""
    name = when.tzname() or ""
    if name.startswith("UTC") and name != "UTC":
        return _offset(when, "-0700")
    return name


def format_time(layout: str, when: datetime, nanoseconds: int) -> str:
    """time.Format."""
    return _directive().sub(lambda found: _part(found[0], when, nanoseconds), layout)


def _part(sign: str, when: datetime, nanoseconds: int) -> str:
    hour = when.hour % 12 or 12
    plain = {
        "January": _MONTHS[when.month - 1],
        "Jan": _MONTHS[when.month - 1][:3],
        "Monday": _DAYS[when.weekday()],
        "Mon": _DAYS[when.weekday()][:3],
        "MST": zone_name(when),
        "2006": f"{when.year:04d}",
        "06": f"{when.year % 100:02d}",
        "01": f"{when.month:02d}",
        "1": str(when.month),
        "02": f"{when.day:02d}",
        "_2": f"{when.day:2d}",
        "2": str(when.day),
        "002": f"{when.timetuple().tm_yday:03d}",
        "__2": f"{when.timetuple().tm_yday:3d}",
        "15": f"{when.hour:02d}",
        "03": f"{hour:02d}",
        "3": str(hour),
        "04": f"{when.minute:02d}",
        "4": str(when.minute),
        "05": f"{when.second:02d}",
        "5": str(when.second),
        "PM": "PM" if when.hour >= 12 else "AM",
        "pm": "pm" if when.hour >= 12 else "am",
    }.get(sign)
    if plain is not None:
        return plain
    if sign[0] in ".,":
        digits = f"{nanoseconds:09d}"[: len(sign) - 1]
        if sign[1] == "9":
            digits = digits.rstrip("0")
        return sign[0] + digits if digits else ""
    return _offset(when, sign)


def _offset(when: datetime, sign: str) -> str:
    offset = when.utcoffset()
    seconds = 0 if offset is None else int(offset.total_seconds())
    if sign[0] == "Z" and not seconds:
        return "Z"
    mark = "-" if seconds < 0 else "+"
    hours, minutes, rest = abs(seconds) // 3600, abs(seconds) // 60 % 60, abs(seconds) % 60
    colon = ":" if ":" in sign else ""
    text = f"{mark}{hours:02d}"
    if len(sign) > 3:
        text += f"{colon}{minutes:02d}"
    return text + f"{colon}{rest:02d}" if len(sign) > 6 and sign.count("0") > 3 else text


_PARSERS = {
    "January": "|".join(_MONTHS),
    "Jan": "|".join(month[:3] for month in _MONTHS),
    "Monday": "|".join(_DAYS),
    "Mon": "|".join(day[:3] for day in _DAYS),
    "MST": r"UTC|[A-Z]{3,5}|[+-]\d{2}",
    "2006": r"\d{4}",
    "PM": "AM|PM",
    "pm": "am|pm",
    "002": r"\d{3}",
    "__2": r"[ \d]{2}\d",
    "_2": r"[ \d]?\d",
}


def parse_time(layout: str, text: str) -> tuple[int, int, int | None]:
    """(seconds since 1970 of the wall clock, nanoseconds, offset of the zone in seconds or None).

    Raises ValueError in Go's manner.
    """
    pattern: list[str] = []
    signs: list[str] = []
    position = 0
    for found in _directive().finditer(layout):
        pattern.append(re.escape(layout[position : found.start()]))
        sign = found[0]
        signs.append(sign)
        pattern.append(f"({_parser_of(sign)})")
        if sign in ("05", "5") and layout[found.end() : found.end() + 2] not in (".0", ".9", ",0", ",9"):
            signs.append(".9")
            pattern.append(r"((?:[.,]\d+)?)")
        position = found.end()
    pattern.append(re.escape(layout[position:]))
    match = re.fullmatch("".join(pattern), text, re.IGNORECASE)
    if match is None:
        raise ValueError("it does not match")
    values = {"year": 0, "month": 1, "day": 1, "hour": 0, "minute": 0, "second": 0}
    nanoseconds, offset, afternoon, year_day = 0, None, None, 0
    for sign, value in zip(signs, match.groups(), strict=True):
        if sign[0] in ".,":
            nanoseconds = int(value[1:10].ljust(9, "0")) if len(value) > 1 else 0
        elif sign[0] in "-Z":
            offset = _read_offset(value)
        elif sign in ("PM", "pm"):
            afternoon = value.lower() == "pm"
        elif sign in ("January", "Jan"):
            values["month"] = [month[:3].lower() for month in _MONTHS].index(value[:3].lower()) + 1
        elif sign in ("002", "__2"):
            year_day = int(value)
        elif sign == "MST":
            offset = 0 if value.upper() == "UTC" else offset
        elif sign == "06":
            values["year"] = int(value) + (1900 if int(value) >= 69 else 2000)
        elif sign not in ("Monday", "Mon"):
            name = _NAMES[sign.lstrip("_0") if sign not in ("2006",) else sign]
            values[name] = int(value)
    if afternoon is not None:
        values["hour"] = values["hour"] % 12 + (12 if afternoon else 0)
    try:
        when = datetime(
            max(values["year"], 1),
            values["month"],
            values["day"],
            values["hour"],
            values["minute"],
            values["second"],
            tzinfo=UTC,
        )
    except ValueError as error:
        raise ValueError(f"{error}: out of range") from error
    seconds = int(when.timestamp())
    if year_day:
        seconds += (year_day - when.timetuple().tm_yday) * 86400
    has_zone = any(sign[0] in "-Z" or sign == "MST" for sign in signs)
    return seconds, nanoseconds, offset if offset is not None or has_zone else None


_NAMES = {
    "2006": "year",
    "1": "month",
    "2": "day",
    "15": "hour",
    "3": "hour",
    "4": "minute",
    "5": "second",
}


def _parser_of(sign: str) -> str:
    if sign in _PARSERS:
        return _PARSERS[sign]
    if sign[0] in ".,":
        return rf"[.,]\d{{{len(sign) - 1}}}" if sign[1] == "0" else r"(?:[.,]\d+)?"
    if sign[0] in "-Z":
        zulu = "Z|" if sign[0] == "Z" else ""
        return zulu + (r"[+-]\d{2}:\d{2}" if ":" in sign else r"[+-]\d{4}" if len(sign) > 3 else r"[+-]\d{2}")
    return r"\d{2}" if len(sign) == 2 else r"\d{1,2}"


def _read_offset(text: str) -> int:
    if text in ("Z", "z"):
        return 0
    digits = text[1:].replace(":", "")
    seconds = int(digits[:2]) * 3600 + int(digits[2:4] or 0) * 60
    if seconds >= 86400:
        raise ValueError("time zone offset out of range")
    return -seconds if text[0] == "-" else seconds
