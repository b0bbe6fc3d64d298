"""Globs with `**` and `{a,b}` (the syntax of github.com/bmatcuk/doublestar), for paths with `/` between names."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable

__all__ = ["compile_glob", "covers", "literal_prefix"]

_SPECIAL = "*?[{\\"
_LONGEST = 1000


def compile_glob(pattern: str) -> Callable[[str], bool]:
    """A test whether a whole path matches. `**` between slashes stands for any number of names, also none.

    Raises ValueError for a class or alternatives without end, and for a pattern of more than 1000 characters.
    """
    import re

    if len(pattern) > _LONGEST:
        raise ValueError(f"a pattern of more than {_LONGEST} characters")
    try:
        compiled = re.compile(_regex(pattern), re.DOTALL)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"{pattern}: {error}") from error
    return lambda path: compiled.fullmatch(path) is not None


def covers(patterns: Iterable[str]) -> Callable[[str], bool]:
    """A test whether one of the globs matches a path or a directory above it (`a`, `a/`, `a/*`, `a/**` are alike).

    Raises ValueError.
    """
    tests: list[Callable[[str], bool]] = []
    for pattern in patterns:
        core = _core(pattern)
        if not core:
            return lambda path: True
        tests.append(compile_glob(core))

    def test(path: str) -> bool:
        parts = path.split("/")
        above = ["/".join(parts[:n]) for n in range(1, len(parts) + 1)]
        return any(one(place) for one in tests for place in above)

    return test


def literal_prefix(pattern: str) -> str:
    """The directory that all matches lie in, as far as it stands there without wildcards."""
    names = pattern.split("/")
    count = next((n for n, name in enumerate(names) if any(sign in name for sign in _SPECIAL)), len(names) - 1)
    return "/".join(names[:count])


def _core(pattern: str) -> str:
    """A glob without what only says "and all below"; "" for the one that means everything."""
    text = pattern.removeprefix("./")
    while True:
        if text in ("", "*", "**", "."):
            return ""
        shorter = next((text[: -len(end)] for end in ("/**", "/*", "/") if text.endswith(end)), None)
        if shorter is None:
            return text
        text = shorter


@functools.lru_cache(256)
def _regex(pattern: str) -> str:
    import re

    out: list[str] = []
    position = 0
    depth = 0
    while position < len(pattern):
        sign = pattern[position]
        position += 1
        if sign == "\\":
            if position == len(pattern):
                raise ValueError(f"{pattern}: a backslash at the end")
            out.append(re.escape(pattern[position]))
            position += 1
        elif sign == "*":
            begin = position - 1
            while pattern[position : position + 1] == "*":
                position += 1
            whole = position - begin > 1 and pattern[begin - 1 : begin] in ("", "/", "{", ",")
            if not whole or pattern[position : position + 1] not in ("", "/", "}", ","):
                out.append("[^/]*")
            elif pattern[position : position + 1] == "/":
                out.append("(?:[^/]+/)*")
                position += 1
            else:
                out.append(".*")
        elif sign == "?":
            out.append("[^/]")
        elif sign == "[":
            position = _class(pattern, position, out)
        elif sign == "{":
            depth += 1
            out.append("(?:")
        elif sign == "}" and depth:
            depth -= 1
            out.append(")")
        elif sign == "," and depth:
            out.append("|")
        else:
            out.append(re.escape(sign))
    if depth:
        raise ValueError(f"{pattern}: alternatives without end")
    text = "".join(out)
    # `a/**` matches `a`, too
    return text[: -len("/.*")] + "(?:/.*)?" if text.endswith("/.*") and pattern.endswith("/**") else text


def _class(pattern: str, position: int, out: list[str]) -> int:
    """One `[…]`; returns where it ends."""
    import re

    def character() -> str:
        nonlocal position
        position += pattern[position : position + 1] == "\\" and position + 1 < len(pattern)
        if position >= len(pattern):
            raise ValueError(f"{pattern}: a class without end")
        position += 1
        return re.escape(pattern[position - 1])

    negated = pattern[position : position + 1] in ("^", "!") and position < len(pattern)
    position += negated
    members: list[str] = []
    while pattern[position : position + 1] != "]" or not members:
        member = character()
        if pattern[position : position + 1] == "-" and pattern[position + 1 : position + 2] not in ("", "]"):
            position += 1
            member += "-" + character()
        members.append(member)
    out.append(f"(?!/)[{'^' if negated else ''}{''.join(members)}]")
    return position + 1
