"""Go's ways with text, as far as the Dockerfile language shows them: spaces, quoting, durations, sizes, CSV."""

from __future__ import annotations

import functools
import re

from pywerf.errors import DockerfileError

__all__ = [
    "SPACES",
    "csv_fields",
    "fields",
    "parse_bool",
    "parse_duration",
    "parse_int",
    "parse_size",
    "parse_uint",
    "quote",
    "split_once",
    "strip",
]

# unicode.IsSpace: Unicode's White_Space, without the ASCII separators 0x1c to 0x1f that Python counts in.
SPACES = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008"
    "\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
)


def strip(text: str) -> str:
    """strings.TrimSpace."""
    return text.strip(SPACES)


def _plain(text: str) -> bool:
    """Whether Python's own split() finds the same blanks as `[\\t\\v\\f\\r ]+` in `text` (a line)."""
    return text.isascii() and not ("\x1c" in text or "\x1d" in text or "\x1e" in text or "\x1f" in text)


@functools.cache
def _blanks() -> re.Pattern[str]:
    return re.compile(r"[\t\v\f\r ]+")


def fields(text: str) -> list[str]:
    """The words of a line (already stripped) between ASCII blanks: parts of quotes are no exception."""
    if not text:
        return []
    return text.split() if _plain(text) else _blanks().split(text)


def split_once(text: str) -> list[str]:
    """The first word of a line (already stripped) and, when there is more, the rest."""
    return text.split(None, 1) if text and _plain(text) else _blanks().split(text, maxsplit=1)


_QUOTED = {
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
    "\\": "\\\\",
    '"': '\\"',
}


def quote(text: str) -> str:
    """strconv.Quote, the `%q` of messages. Bytes that are not UTF-8 (surrogates here) show as `\\xNN`."""
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    out = []
    for char in text:
        code = ord(char)
        if char in _QUOTED:
            out.append(_QUOTED[char])
        elif char.isprintable():
            out.append(char)
        elif 0xDC80 <= code <= 0xDCFF:
            out.append(f"\\x{code - 0xDC00:02x}")
        elif code < 0x80:
            out.append(f"\\x{code:02x}")
        elif code < 0x10000:
            out.append(f"\\u{code:04x}")
        else:
            out.append(f"\\U{code:08x}")
    return '"' + "".join(out) + '"'


def parse_bool(text: str) -> bool | None:
    """strconv.ParseBool; None for what is no boolean."""
    if text in ("1", "t", "T", "true", "TRUE", "True"):
        return True
    if text in ("0", "f", "F", "false", "FALSE", "False"):
        return False
    return None


def parse_uint(text: str, base: int, bits: int) -> int | None:
    """strconv.ParseUint without `0x` and underscores; None for what is no such number."""
    digits = "01234567" if base == 8 else "0123456789"
    if not text or any(char not in digits for char in text):
        return None
    value = int(text, base)
    return value if value < 1 << bits else None


def parse_int(text: str) -> int | None:
    """strconv.Atoi; None for what is no number."""
    digits = text[1:] if text[:1] in ("+", "-") else text
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 18:
        return None
    return int(text)


_UNITS = {
    "ns": 1,
    "us": 1_000,
    "\xb5s": 1_000,  # U+00B5, the micro sign
    "\u03bcs": 1_000,  # U+03BC, the Greek letter
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}


@functools.cache
def _duration_part() -> re.Pattern[str]:
    return re.compile(r"([0-9]*)(\.[0-9]*)?([^0-9.]*)")


def parse_duration(text: str) -> int:
    """time.ParseDuration: `1h30m`, `1.5s`; nanoseconds. Raises DockerfileError with Go's message."""
    rest = text[1:] if text[:1] in ("+", "-") else text
    if rest == "0":
        return 0
    if not rest:
        raise DockerfileError(f"time: invalid duration {quote(text)}")
    total = 0
    position = 0
    while position < len(rest):
        match = _duration_part().match(rest, position)
        whole, fraction, unit = match.groups() if match else ("", None, "")
        if match is None or (not whole and (fraction or ".") == "."):
            raise DockerfileError(f"time: invalid duration {quote(text)}")
        if not unit:
            raise DockerfileError(f"time: missing unit in duration {quote(text)}")
        if unit not in _UNITS:
            raise DockerfileError(f"time: unknown unit {quote(unit)} in duration {quote(text)}")
        scale = _UNITS[unit]
        total += int(whole or "0") * scale
        if fraction and len(fraction) > 1:
            digits = fraction[1:19]
            total += int(digits) * scale // 10 ** len(digits)
        position = match.end()
    if total >= 1 << 63:
        raise DockerfileError(f"time: invalid duration {quote(text)}")
    return -total if text[0] == "-" else total


@functools.cache
def _size() -> re.Pattern[str]:
    return re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([kmgtp]?)i?b?", re.I | re.A)


def parse_size(text: str) -> int | None:
    """units.RAMInBytes: `64m`, `1.5GiB`, `512`; bytes, powers of 1024. None for what is no size."""
    match = _size().fullmatch(text)
    if match is None:
        return None
    number, unit = match.groups()
    power = " kmgtp".index(unit.lower()) if unit else 0
    return int(float(number) * 1024**power)


def csv_fields(text: str) -> list[str] | None:
    """The fields of one CSV record (RFC 4180, as encoding/csv reads it); None when it is malformed or empty."""
    if not text:
        return None
    if '"' not in text:
        return text.split(",")
    out: list[str] = []
    position = 0
    while True:
        if text[position : position + 1] != '"':
            end = text.find(",", position)
            end = len(text) if end < 0 else end
            field = text[position:end]
            if '"' in field:
                return None
            position = end
        else:
            parts: list[str] = []
            position += 1
            while True:
                end = text.find('"', position)
                if end < 0:
                    return None
                parts.append(text[position:end])
                position = end + 1
                if text[position : position + 1] != '"':
                    break
                parts.append('"')
                position += 1
            field = "".join(parts)
        out.append(field)
        if position == len(text):
            return out
        if text[position] != ",":
            return None
        position += 1
