"""sprig's functions of dates. A time is a Struct that prints as Go's time.Time and has its methods."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any

from pywerf.config.template.sprig.convert import define, to_int
from pywerf.config.template.sprig.go_time import format_time, parse_time, zone_name
from pywerf.config.template.values import Func, FunctionError, Struct
from pywerf.util.go_duration import format_duration, parse_duration

__all__ = ["FUNCTIONS", "GoTime"]

_SECOND = 1_000_000_000
_ROUND = ((8760, "y"), (720, "mo"), (24, "d"), (1, "h"))


class GoTime(Struct):
    """A moment: nanoseconds since 1970, and the zone in which it is told."""

    __slots__ = ("nanoseconds", "zone")

    def __init__(self, nanoseconds: int, zone: tzinfo) -> None:
        self.nanoseconds = nanoseconds
        self.zone = zone
        super().__init__("time.Time", {}, self._methods(), self.show)

    def when(self) -> datetime:
        """The moment without its fraction of a second."""
        try:
            return datetime.fromtimestamp(self.nanoseconds // _SECOND, self.zone)
        except (OverflowError, ValueError, OSError) as error:
            raise FunctionError("a date beyond the years 1 to 9999") from error

    def format(self, layout: str) -> str:
        """Time.Format."""
        return format_time(layout, self.when(), self.nanoseconds % _SECOND)

    def show(self) -> str:
        """Time.String."""
        when = self.when()
        fraction = f".{self.nanoseconds % _SECOND:09d}".rstrip("0").rstrip(".")
        return (
            f"{format_time('2006-01-02 15:04:05', when, 0)}{fraction} {format_time('-0700', when, 0)} {zone_name(when)}"
        )

    def _methods(self) -> dict[str, Func]:
        def part(name: str, read: Any) -> tuple[str, Func]:
            return name, Func(name, lambda: read(self.when()))

        return dict(
            (
                part("Year", lambda when: when.year),
                part("Month", lambda when: when.strftime("%B")),
                part("Day", lambda when: when.day),
                part("Hour", lambda when: when.hour),
                part("Minute", lambda when: when.minute),
                part("Second", lambda when: when.second),
                part("Weekday", lambda when: when.strftime("%A")),
                part("YearDay", lambda when: when.timetuple().tm_yday),
                ("Nanosecond", Func("Nanosecond", lambda: self.nanoseconds % _SECOND)),
                ("Unix", Func("Unix", lambda: self.nanoseconds // _SECOND)),
                ("UnixNano", Func("UnixNano", lambda: self.nanoseconds)),
                ("Format", Func("Format", self.format, ("string",))),
                ("UTC", Func("UTC", lambda: GoTime(self.nanoseconds, UTC))),
            )
        )


def _local() -> tzinfo:
    found = datetime.now().astimezone().tzinfo
    assert found is not None
    return found


def _zone(name: str) -> tzinfo:
    """time.LoadLocation; UTC for what is not known."""
    if name in ("", "UTC"):
        return UTC
    if name == "Local":
        return _local()
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        return UTC


def _now() -> GoTime:
    return GoTime(time.time_ns(), _local())


def _moment(value: Any, zone: tzinfo) -> GoTime:
    """A time, or seconds since 1970; now for anything else."""
    if isinstance(value, GoTime):
        return GoTime(value.nanoseconds, zone)
    if isinstance(value, int) and not isinstance(value, bool):
        return GoTime(value * _SECOND, zone)
    return GoTime(time.time_ns(), zone)


def _date_in_zone(layout: str, value: Any, zone: str) -> str:
    return _moment(value, _zone(zone)).format(layout)


def _date(layout: str, value: Any) -> str:
    return _moment(value, _local()).format(layout)


def _modified(text: str, value: Any) -> Any:
    try:
        return GoTime(value.nanoseconds + parse_duration(text), value.zone)
    except ValueError as error:
        raise FunctionError(f"time: {error}") from error


def _date_modify(text: str, value: Any) -> Any:
    if not isinstance(value, GoTime):
        raise FunctionError("dateModify: a time is expected, like that of now or toDate")
    try:
        return _modified(text, value)
    except FunctionError:
        return value


def _must_date_modify(text: str, value: Any) -> Any:
    if not isinstance(value, GoTime):
        raise FunctionError("mustDateModify: a time is expected, like that of now or toDate")
    return _modified(text, value)


def _ago(value: Any) -> str:
    now = time.time_ns()
    then = now
    if isinstance(value, GoTime):
        then = value.nanoseconds
    elif isinstance(value, int) and not isinstance(value, bool):
        then = value * _SECOND
    passed = now - then
    half = _SECOND // 2
    seconds = (abs(passed) + half) // _SECOND
    return format_duration(seconds * _SECOND if passed >= 0 else -seconds * _SECOND)


def _duration(value: Any) -> str:
    return format_duration(to_int(value) * _SECOND)


def _duration_round(value: Any) -> str:
    if isinstance(value, str):
        try:
            length = parse_duration(value)
        except ValueError:
            length = 0
    elif isinstance(value, GoTime):
        length = time.time_ns() - value.nanoseconds
    else:
        length = to_int(value)
    length = abs(length)
    hour = 3600 * _SECOND
    for hours, sign in _ROUND:
        if length > hours * hour:
            return f"{length // (hours * hour)}{sign}"
    if length > 60 * _SECOND:
        return f"{length // (60 * _SECOND)}m"
    return f"{length // _SECOND}s" if length > _SECOND else "0s"


def _to_date(layout: str, text: str) -> Any:
    try:
        return _must_to_date(layout, text)
    except FunctionError:
        return GoTime(-62135596800 * _SECOND, UTC)


def _must_to_date(layout: str, text: str) -> Any:
    try:
        seconds, nanoseconds, offset = parse_time(layout, text)
    except (ValueError, OverflowError) as error:
        raise FunctionError(f'parsing time "{text}" as "{layout}": {error}') from error
    if offset is None:
        local = _local()
        wall = datetime.fromtimestamp(seconds, UTC).replace(tzinfo=local)
        return GoTime(int(wall.timestamp()) * _SECOND + nanoseconds, local)
    zone = UTC if offset == 0 else timezone(timedelta(seconds=offset))
    return GoTime((seconds - offset) * _SECOND + nanoseconds, zone)


def _unix_epoch(value: Any) -> str:
    if not isinstance(value, GoTime):
        raise FunctionError("unixEpoch: a time is expected, like that of now or toDate")
    return str(value.nanoseconds // _SECOND)


FUNCTIONS = dict(
    (
        define("now", _now),
        define("date", _date, "string", "any"),
        define("htmlDate", lambda value: _date("2006-01-02", value), "any"),
        define("htmlDateInZone", lambda value, zone: _date_in_zone("2006-01-02", value, zone), "any", "string"),
        define("dateInZone", _date_in_zone, "string", "any", "string"),
        define("date_in_zone", _date_in_zone, "string", "any", "string"),
        define("dateModify", _date_modify, "string", "any"),
        define("date_modify", _date_modify, "string", "any"),
        define("mustDateModify", _must_date_modify, "string", "any"),
        define("must_date_modify", _must_date_modify, "string", "any"),
        define("ago", _ago, "any"),
        define("duration", _duration, "any"),
        define("durationRound", _duration_round, "any"),
        define("toDate", _to_date, "string", "string"),
        define("mustToDate", _must_to_date, "string", "string"),
        define("unixEpoch", _unix_epoch, "any"),
    )
)
