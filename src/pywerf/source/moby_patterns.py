"""What moby/patternmatcher makes of a pattern: a regular expression of Go's, taken to the letter.

The translation knows nothing of classes and escapes, and so some patterns mean other than one would think: `\\d` is
a digit, `^` outside of a class the beginning, `|` the end of an alternative, `{2}` a repetition, `[*]` a class that is
repeated and then a `]`. Whoever wrote such a pattern has tried it with docker, so it has to mean the same here.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import TYPE_CHECKING

from pywerf.source.wildcards import Token, compile_tokens, parse

if TYPE_CHECKING:
    import re

__all__ = ["check", "read_expression", "translate"]

Ranges = tuple[tuple[str, str], ...]

_ESCAPED = frozenset(".+()$")  # moby means `|`, `{` and `}` too, and misses them
_OCTAL = "01234567"
_CONTROL = {"a": "\a", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_EDGES = {"A": "begin", "z": "end", "b": "word", "B": "inside"}
_REPETITION = r"\{(0|[1-9][0-9]{0,8})(,(0|[1-9][0-9]{0,8})?)?\}"
_HEXADECIMAL = "([0-9A-Fa-f]{2})|\\{([0-9A-Fa-f]+)\\}"
_PART = r"(?s:(?:\\.?|\[(?:\\.|[^\]\\])*(?:\]|\\?$)|[^*])*)"
_MOST = 1000
_CATEGORIES = {"C": "cfos", "L": "lmotu", "M": "cen", "N": "dlo", "P": "cdefios", "S": "ckmo", "Z": "lps"}


def _pairs(text: str) -> Ranges:
    return tuple((text[at], text[at + 1]) for at in range(0, len(text), 2))


_PERL = {"d": _pairs("09"), "s": _pairs("\t\n\f\r  "), "w": _pairs("09AZ__az")}
_NAMED = {
    "alnum": _pairs("09AZaz"),
    "alpha": _pairs("AZaz"),
    "ascii": _pairs("\0\x7f"),
    "blank": _pairs("\t\t  "),
    "cntrl": _pairs("\0\x1f\x7f\x7f"),
    "digit": _pairs("09"),
    "graph": _pairs("!~"),
    "lower": _pairs("az"),
    "print": _pairs(" ~"),
    "punct": _pairs("!/:@[`{~"),
    "space": _pairs("\t\r  "),
    "upper": _pairs("AZ"),
    "word": _pairs("09AZ__az"),
    "xdigit": _pairs("09AFaf"),
}


def check(pattern: str) -> None:
    """ValueError where Go's filepath.Match(pattern, ".") finds a fault, which moby asks first.

    It looks no further than the first part between two `*` that does not match.
    """
    if "[" not in pattern and "\\" not in pattern:
        return
    import re

    parts = [part for part in re.findall(_PART, pattern) if part]
    if parts:
        parse(parts[0])
        if len(parts) > 1 and compile_tokens(parse(parts[0]))("."):
            parse(parts[1])


def translate(pattern: str) -> tuple[str, str]:
    """How a pattern is matched (`exact`, `prefix`, `suffix`, `regex`), and its regular expression for the last."""
    kind = "exact"
    out = ["^"]
    index, end = 0, len(pattern)
    while index < end:
        char = pattern[index]
        index += 1
        if char == "*" and pattern.startswith("*", index):
            leading = index == 1
            index += 2 if pattern.startswith("*/", index) else 1
            if index < end:
                out.append("(.*/)?")
                kind = "suffix" if leading else "regex"
            elif leading:
                kind = "suffix"
            elif kind == "exact":
                kind = "prefix"
            else:
                out.append(".*")
                kind = "regex"
        elif char == "\\":
            if index < end:
                kind = "regex"
            out.append(pattern[index - 1 : index + 1])
            index += 1
        elif char in "*?[]":
            kind = "regex"
            out.append({"*": "[^/]*", "?": "[^/]"}.get(char, char))
        else:
            out.append(f"\\{char}" if char in _ESCAPED else char)
    return kind, "".join((*out, "$"))


def read_expression(expression: str) -> tuple[tuple[Token, ...], ...]:
    """The alternatives of an expression of `translate`, each for a whole path. ValueError where Go refuses it."""
    branches: list[list[Token]] = [[]]
    repeatable = ""
    index, end = 0, len(expression)
    while index < end:
        branch = branches[-1]
        char = expression[index]
        limits = _match(_REPETITION, expression, index) if char == "{" else None
        if limits is not None:
            if repeatable != "yes":
                raise ValueError(f"{limits[0]} repeats {repeatable or 'nothing'}")
            branch[-1:] = _repeated(branch[-1], limits)
            index = limits.end()
            repeatable = "a repetition"
            continue
        repeatable = "yes"
        if char == "|":
            branches.append([])
            index += 1
            repeatable = ""
        elif char in "^$":  # there is no other `$` without a backslash than the last one
            branch.append(("edge", "begin" if char == "^" else "end"))
            index += 1
        elif char in "(.":
            branch.append(("dirs",) if char == "(" else ("rest",))
            index += len("(.*/)?" if char == "(" else ".*")
            repeatable = "a repetition"
        elif char == "[":
            token, index = _read_class(expression, index + 1)
            if expression.startswith("*", index):
                token = ("star",) if token == ("one",) else ("repeat", token, 0, None)
                index += 1
                repeatable = "a repetition"
            branch.append(token)
        elif char == "\\":
            read, index = _read_special(expression, index)
            branch.extend(read)
        else:
            branch.append(("literal", char))
            index += 1
    return tuple(_whole(branch) for branch in branches)


def _match(regex: str, text: str, index: int) -> re.Match[str] | None:
    import re

    return re.compile(regex).match(text, index)


def _repeated(token: Token, limits: re.Match[str]) -> list[Token]:
    low = int(limits[1])
    high = low if limits[2] is None else int(limits[3]) if limits[3] else None
    if low > _MOST or (high is not None and not low <= high <= _MOST):
        raise ValueError(f"{limits[0]} is no number of times")
    if token[0] == "edge":
        return [token] if low else []
    return [("repeat", token, low, high)]


def _read_special(expression: str, index: int) -> tuple[list[Token], int]:
    """What a backslash outside of a class stands for."""
    letter = expression[index + 1 : index + 2]
    if letter in _EDGES:
        return [("edge", _EDGES[letter])], index + 2
    if letter == "Q":  # up to \\E, or all that follows, the `$` too
        text, _, rest = expression[index + 2 :].partition("\\E")
        return [("literal", char) for char in text], len(expression) - len(rest)
    found = _read_group(expression, index)
    if found is not None:
        return [("class", False, found[0], _has_slash(found[0]))], found[1]
    char, index = _read_escape(expression, index)
    return [("literal", char)], index


def _whole(branch: list[Token]) -> tuple[Token, ...]:
    """An alternative for the whole text: what is not held at an edge may stand anywhere. Literals are joined."""
    branch = branch[1:] if branch[:1] == [("edge", "begin")] else [("anything",), *branch]
    branch = branch[:-1] if branch[-1:] == [("edge", "end")] else [*branch, ("anything",)]
    tokens: list[Token] = []
    for token in branch:
        last = tokens[-1] if tokens else None
        if token[0] == "literal" and last is not None and last[0] == "literal":
            tokens[-1] = ("literal", last[1] + token[1])
        elif last != token or token[0] not in ("dirs", "star", "anything"):  # twice says no more than once
            tokens.append(token)
    return tuple(tokens)


def _has_slash(ranges: Iterable[tuple[str, str]]) -> bool:
    return any(low <= "/" <= high for low, high in ranges)


def _read_class(expression: str, index: int) -> tuple[Token, int]:
    """A class from behind its `[`, and the index behind its `]`."""
    negated = expression.startswith("^", index)
    index += negated
    ranges: list[tuple[str, str]] = []
    first = True
    while first or not expression.startswith("]", index):
        first = False
        found = _read_named(expression, index) or _read_group(expression, index)
        if found is not None:
            ranges.extend(found[0])
            index = found[1]
            continue
        low, index = _read_class_character(expression, index)
        high = low
        if expression.startswith("-", index) and not expression.startswith("-]", index):
            high, index = _read_class_character(expression, index + 1)
        if high < low:
            raise ValueError(f"the range {low}-{high} is reversed")
        ranges.append((low, high))
    if negated and ranges == [("/", "/")]:
        return ("one",), index + 1
    return ("class", negated, tuple(ranges), _has_slash(ranges) != negated), index + 1


def _read_class_character(expression: str, index: int) -> tuple[str, int]:
    if index >= len(expression):
        raise ValueError("a class is not closed with ]")
    if expression[index] == "\\":
        return _read_escape(expression, index)
    return expression[index], index + 1


def _read_named(expression: str, index: int) -> tuple[Ranges, int] | None:
    """`[:alpha:]`, or `[:^alpha:]` for all others."""
    if not expression.startswith("[:", index):
        return None
    stop = expression.find(":]", index + 2)
    if stop < 0:
        return None
    name = expression[index + 2 : stop]
    ranges = _NAMED.get(name.removeprefix("^"))
    if ranges is None:
        raise ValueError(f"there is no class [:{name}:]")
    return _complement(ranges) if name.startswith("^") else ranges, stop + 2


def _read_group(expression: str, index: int) -> tuple[Ranges, int] | None:
    r"""`\d`, `\s`, `\w`, `\pL` and so on; in capitals all others."""
    letter = expression[index + 1 : index + 2] if expression.startswith("\\", index) else ""
    if letter in ("p", "P"):
        name = expression[index + 2 : index + 3]
        index += 1
        if name == "{":
            stop = expression.find("}", index)
            if stop < 0:
                raise ValueError(f"\\{letter}{{ is not closed with }}")
            name = expression[index + 2 : stop]
            index = stop - 1
        ranges = _category(name.removeprefix("^"))
        if name.startswith("^"):
            ranges = _complement(ranges)
    elif letter and letter.lower() in _PERL:
        ranges = _PERL[letter.lower()]
    else:
        return None
    return _complement(ranges) if letter.isupper() else ranges, index + 2


def _read_escape(expression: str, index: int) -> tuple[str, int]:
    """One escaped character, from its backslash on."""
    char = expression[index + 1 : index + 2]
    index += 2
    if char in _CONTROL:
        return _CONTROL[char], index
    if char == "x":
        digits = _match(_HEXADECIMAL, expression, index)
        code = int(digits[1] or digits[2], 16) if digits else 0x110000
        if digits is None or code > 0x10FFFF:
            raise ValueError(f"\\x{expression[index : index + 2]} is no hexadecimal number of a character")
        return chr(code), digits.end()
    # one digit alone, other than 0, would be what a group has matched
    if char and char in _OCTAL and (char == "0" or expression[index : index + 1] in tuple(_OCTAL)):
        stop = index
        while stop < index + 2 and expression[stop : stop + 1] in tuple(_OCTAL):
            stop += 1
        return chr(int(expression[index - 1 : stop], 8)), stop
    if not char or not char.isascii() or char.isalnum():
        raise ValueError(f"\\{char} has no meaning" if char else "it ends with a backslash")
    return char, index


def _complement(ranges: Iterable[tuple[str, str]]) -> Ranges:
    found = []
    start = 0
    for low, high in sorted(ranges):
        if ord(low) > start:
            found.append((chr(start), chr(ord(low) - 1)))
        start = max(start, ord(high) + 1)
    if start <= 0x10FFFF:
        found.append((chr(start), chr(0x10FFFF)))
    return tuple(found)


@functools.cache
def _category(name: str) -> Ranges:
    """All characters of a category of Unicode, such as L for letters and Lu for capital ones."""
    if name == "Any":
        return _pairs("\0\U0010ffff")
    if name[:1] not in _CATEGORIES or len(name) > 2 or name[1:] not in _CATEGORIES[name[:1]]:
        raise ValueError(f"no category of characters is called {name!r}")
    import unicodedata

    found: list[tuple[str, str]] = []
    for code in range(0x110000):
        category = unicodedata.category(chr(code))
        if category.startswith(name) and category != "Cn":
            if found and ord(found[-1][1]) == code - 1:
                found[-1] = (found[-1][0], chr(code))
            else:
                found.append((chr(code), chr(code)))
    return tuple(found)
