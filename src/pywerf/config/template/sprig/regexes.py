"""sprig's functions of regular expressions, in the syntax of Go's regexp (RE2)."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from typing import Any

from pywerf.config.template.sprig.convert import define
from pywerf.config.template.values import Func, FunctionError

__all__ = ["FUNCTIONS", "compiled"]

_POSIX = {
    "alnum": "0-9A-Za-z", "alpha": "A-Za-z", "ascii": r"\x00-\x7f", "blank": r"\t ", "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9", "graph": "!-~", "lower": "a-z", "print": " -~", "punct": r"!-/:-@\[-`{-~", "space": r"\t\n\v\f\r ",
    "upper": "A-Z", "word": "0-9A-Za-z_", "xdigit": "0-9A-Fa-f",
}  # fmt: skip


@functools.lru_cache(256)
def compiled(pattern: str) -> re.Pattern[str]:
    """The expression of Go's syntax. Raises FunctionError in Go's words."""
    try:
        return re.compile(_translated(pattern), re.ASCII)
    except (re.error, OverflowError, RecursionError) as error:
        raise FunctionError(f"error parsing regexp: {error}: `{pattern}`") from error


def _translated(pattern: str) -> str:
    """Go's syntax in Python's: what the two write differently."""
    out: list[str] = []
    position = 0
    multiline = re.match(r"\(\?[a-zA-Z]*m", pattern) is not None
    closing = 0
    while position < len(pattern):
        sign = pattern[position]
        following = pattern[position + 1 : position + 2]
        if sign == "\\":
            if following == "Q":
                end = pattern.find("\\E", position)
                end = len(pattern) if end < 0 else end
                out.append(re.escape(pattern[position + 2 : end]))
                position = end + 2
                continue
            if following == "p" or following == "P":
                raise FunctionError(f"error parsing regexp: Unicode classes are not supported: `{pattern}`")
            if following.isdigit() and following != "0":
                raise FunctionError(f"error parsing regexp: invalid escape sequence: `\\{following}`")
            out.append({"z": r"\Z", "C": "."}.get(following, sign + following))
            position += 2
        elif sign == "[":
            position = _class(pattern, position, out)
        elif sign == "$" and not multiline:
            out.append(r"\Z")
            position += 1
        elif sign == "(" and following == "?" and pattern[position + 2 : position + 3] in ("=", "!", "<"):
            named = re.match(r"\(\?<([A-Za-z_]\w*)>", pattern[position:])
            if named is None:
                raise FunctionError(f"error parsing regexp: invalid or unsupported Perl syntax: `{pattern}`")
            out.append(f"(?P<{named[1]}>")
            position += named.end()
        elif flags := re.match(r"\(\?([imsU]*)(?:-([imsU]+))?\)", pattern[position:]):
            on = flags[1].replace("U", "")
            off = (flags[2] or "").replace("U", "")
            # they hold to the end of the group that they stand in; at the top that is the pattern's
            if on or off:
                out.append(f"(?{on}{f'-{off}' if off else ''}:")
                closing += 1
            position += flags.end()
        else:
            out.append(sign)
            position += 1
    return "".join(out) + ")" * closing


def _class(pattern: str, position: int, out: list[str]) -> int:
    """One `[…]` with POSIX classes; returns where it ends."""
    start = position
    position += 1
    out.append("[")
    if pattern[position : position + 1] == "^":
        out.append("^")
        position += 1
    first = True
    while position < len(pattern) and (pattern[position] != "]" or first):
        first = False
        posix = re.match(r"\[:(\^?)([a-z]+):\]", pattern[position:])
        if posix is not None and posix[2] in _POSIX and not posix[1]:
            out.append(_POSIX[posix[2]])
            position += posix.end()
        elif pattern[position] == "\\":
            out.append(pattern[position : position + 2])
            position += 2
        else:
            out.append("\\" + pattern[position] if pattern[position] in "[&~|" else pattern[position])
            position += 1
    if position >= len(pattern):
        raise FunctionError(f"error parsing regexp: missing closing ]: `{pattern[start:]}`")
    out.append("]")
    return position + 1


def _matches(pattern: str, text: str) -> Iterator[re.Match[str]]:
    """All matches; an empty one right behind another does not count, as in Go."""
    end = -1
    for found in compiled(pattern).finditer(text):
        if found.end() > found.start() or found.start() != end:
            yield found
        end = found.end()


def _find_all(pattern: str, text: str, count: int) -> list[str]:
    found = [match[0] for match in _matches(pattern, text)]
    return found if count < 0 else found[:count]


def _find(pattern: str, text: str) -> str:
    found = compiled(pattern).search(text)
    return "" if found is None else found[0]


def _replace_all(pattern: str, text: str, replacement: str) -> str:
    return _replaced(pattern, text, lambda found: _expanded(replacement, found))


def _replace_literal(pattern: str, text: str, replacement: str) -> str:
    return _replaced(pattern, text, lambda found: replacement)


def _replaced(pattern: str, text: str, make: Callable[[re.Match[str]], str]) -> str:
    out: list[str] = []
    position = 0
    for found in _matches(pattern, text):
        out += (text[position : found.start()], make(found))
        position = found.end()
    return "".join(out) + text[position:]


def _expanded(template: str, found: re.Match[str]) -> str:
    """`$1`, `${name}` and `$$` (regexp.Expand); a group that is not there is empty."""

    def group(reference: re.Match[str]) -> str:
        name = reference[1] or reference[2]
        if name is None:
            return "$"
        try:
            return found[int(name) if name.isdecimal() else name] or ""
        except (IndexError, OverflowError):
            return ""

    return re.sub(r"\$(?:\{(\w+)\}|(\w+)|\$)", group, template, flags=re.ASCII)


def _split(pattern: str, text: str, count: int) -> list[str]:
    if count == 0:
        return []
    if pattern and not text:
        return [""]
    parts: list[str] = []
    begin = end = 0
    for number, found in enumerate(_matches(pattern, text)):
        if count > 0 and (len(parts) == count - 1 or number >= count):
            break
        end = found.start()
        if found.end():
            parts.append(text[begin:end])
        begin = found.end()
    if end != len(text):
        parts.append(text[begin:])
    return parts


def _both(name: str, call: Any, *kinds: Any) -> list[tuple[str, Func]]:
    return [define(name, call, *kinds), define("must" + name[0].upper() + name[1:], call, *kinds)]


FUNCTIONS: dict[str, Func] = dict(
    [
        *_both("regexMatch", lambda pattern, text: compiled(pattern).search(text) is not None, "string", "string"),
        *_both("regexFindAll", _find_all, "string", "string", "int"),
        *_both("regexFind", _find, "string", "string"),
        *_both("regexReplaceAll", _replace_all, "string", "string", "string"),
        *_both("regexReplaceAllLiteral", _replace_literal, "string", "string", "string"),
        *_both("regexSplit", _split, "string", "string", "int"),
        define("regexQuoteMeta", lambda text: re.sub(r"([\\.+*?()|\[\]{}^$])", r"\\\1", text), "string"),
    ]
)
