"""The constants of templates: Go's numbers, characters and strings."""

from __future__ import annotations

__all__ = ["char_value", "number_value", "string_value"]

_ESCAPES = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", "'": "'", '"': '"',
}  # fmt: skip


def number_value(text: str) -> int | float | complex:
    """A number as Go reads it. Raises ValueError for a bad one, and for integers beyond 64 bits."""
    try:
        if text.endswith("i"):
            return _imaginary(text)
        return _real(text)
    except (ValueError, OverflowError) as error:
        if isinstance(error, _TooBigError):
            raise
        raise ValueError(f'bad number syntax: "{text}"') from error


class _TooBigError(ValueError):
    pass


def _real(text: str) -> int | float:
    digits = _without_underscores(text)
    lower = digits.lower().lstrip("+-")
    negative = digits.startswith("-")
    value: int | float
    if lower.startswith("0x"):
        if "p" in lower:
            value = float.fromhex(lower)
        elif "." in lower:
            raise ValueError("hexadecimal mantissa requires a 'p' exponent")
        else:
            value = int(lower, 16)
    elif lower.startswith(("0b", "0o")):
        value = int(lower, 0)
    elif any(mark in lower for mark in ".e"):
        value = float(lower)
        if value in (float("inf"),):
            raise OverflowError(text)
    elif len(lower) > 1 and lower.startswith("0"):
        value = int(lower, 8)
    else:
        value = int(lower)
    value = -value if negative else value
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
        raise _TooBigError(f"{text} overflows int")
    return value


def _without_underscores(text: str) -> str:
    """Underscores separate digits, or follow a base prefix; anywhere else they are wrong."""
    if "_" not in text:
        return text
    body = text.lstrip("+-")
    prefixed = len(body) > 1 and body[0] == "0" and body[1] in "xXbBoO"
    for n, character in enumerate(body):
        if character != "_":
            continue
        before, after = body[n - 1 : n], body[n + 1 : n + 2]
        if not (after and after in "0123456789abcdefABCDEF"):
            raise ValueError(text)
        if not ((before and before in "0123456789abcdefABCDEF") or (prefixed and n == 2)):
            raise ValueError(text)
    return text.replace("_", "")


def _imaginary(text: str) -> complex:
    body = text[:-1]
    # The sign that parts the two is the last one that belongs to no exponent.
    for n in range(len(body) - 1, 0, -1):
        if body[n] in "+-" and body[n - 1] not in "eEpP":
            return complex(_real(body[:n]), _real(body[n:]))
    # `012i` is decimal in Go, for old code's sake.
    if not body.strip("0123456789_"):
        return complex(0, int(body.replace("_", "")))
    return complex(0, _real(body))


def string_value(text: str) -> str:
    """The value of `"…"` or of a raw string in backquotes. Raises ValueError for a bad escape."""
    if text.startswith("`"):
        return text[1:-1].replace("\r", "")
    return _unescape(text[1:-1], "'", text)


def char_value(text: str) -> int:
    """The code point of `'x'`. Raises ValueError when it is not exactly one character."""
    value = _unescape(text[1:-1], '"', text)
    if len(value) != 1:
        raise ValueError(f"malformed character constant: {text}")
    return ord(value)


def _unescape(body: str, forbidden: str, whole: str) -> str:
    if "\\" not in body:
        return body
    out = bytearray()
    n = 0
    while n < len(body):
        character = body[n]
        n += 1
        if character != "\\":
            out += character.encode()
            continue
        code = body[n]
        n += 1
        if code in _ESCAPES and code != forbidden:
            out += _ESCAPES[code].encode()
            continue
        length, base = {"x": (2, 16), "u": (4, 16), "U": (8, 16)}.get(code, (3, 8))
        if base == 8:
            n -= 1
        digits = body[n : n + length]
        n += length
        try:
            value = int(digits, base) if len(digits) == length and digits.isalnum() else -1
        except ValueError:
            value = -1
        # \x and octal are bytes, \u and \U are characters.
        if value < 0 or (base == 8 and value > 255) or value > 0x10FFFF or 0xD800 <= value < 0xE000:
            raise ValueError(f"invalid syntax in string {whole}")
        out += bytes((value,)) if code not in "uU" else chr(value).encode()
    return out.decode(errors="replace")
