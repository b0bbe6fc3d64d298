"""The syntax of wildcards: from a pattern's text to tokens, and from tokens to a matcher.

Tokens: ("literal", text) | ("one",) `?` | ("star",) `*` | ("dirs",) `**/`: nothing or anything up to a `/` |
("rest",) a last `**`: anything | ("class", negated, ranges, matches_slash).
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Sequence
from typing import Any

__all__ = ["Token", "clean", "compile_tokens", "parse", "regex_source"]

Token = tuple[Any, ...]

# More quantifiers than this that may try again at every character make `re` slow beyond use on hostile
# patterns; those are matched by following all possibilities at once.
_MAX_BACKTRACKING = 3


def clean(path: str) -> str:
    """Go's filepath.Clean: no `.`, no `//`, `..` taken lexically, no trailing slash; empty is `.`."""
    cleaned = posixpath.normpath(path)
    return cleaned[1:] if cleaned.startswith("//") else cleaned


def parse(pattern: str, *, double_star: bool) -> tuple[Token, ...]:
    """The tokens of a pattern; ValueError says what is wrong with it. Without `double_star`, `**` is two `*`."""
    tokens: list[Token] = []
    literal: list[str] = []
    index, end = 0, len(pattern)

    def flush() -> None:
        if literal:
            tokens.append(("literal", "".join(literal)))
            literal.clear()

    while index < end:
        char = pattern[index]
        index += 1
        if char == "*":
            flush()
            if double_star and pattern.startswith("*", index):
                index += 1
                if pattern.startswith("/", index):
                    index += 1
                token: Token = ("rest",) if index == end else ("dirs",)
                if not (token == ("dirs",) and tokens and tokens[-1] == token):  # twice says no more than once
                    tokens.append(token)
            elif not (tokens and tokens[-1] == ("star",)):
                tokens.append(("star",))
        elif char == "?":
            flush()
            tokens.append(("one",))
        elif char == "[":
            flush()
            index = _parse_class(pattern, index, tokens, strict=double_star)
        elif char == "\\":
            if index == end:
                raise ValueError("it ends with a backslash")
            literal.append(pattern[index])
            index += 1
        else:
            literal.append(char)
    flush()
    return tuple(tokens)


def _parse_class(pattern: str, index: int, tokens: list[Token], *, strict: bool) -> int:
    """Read a class after its `[`; gives the index behind its `]`. `strict` refuses `[z-a]`, as moby does."""
    negated = pattern.startswith("^", index)
    index += negated
    ranges: list[tuple[str, str]] = []
    while not (ranges and pattern.startswith("]", index)):
        low, index = _class_character(pattern, index)
        high = low
        if pattern[index] == "-":
            high, index = _class_character(pattern, index + 1)
        if strict and low > high:
            raise ValueError(f"the range {low}-{high} is reversed")
        ranges.append((low, high))
    slash = any(low <= "/" <= high for low, high in ranges) != negated
    tokens.append(("class", negated, tuple(ranges), slash))
    return index + 1


def _class_character(pattern: str, index: int) -> tuple[str, int]:
    char = pattern[index : index + 1]
    if char in ("-", "]"):
        raise ValueError(f"a class cannot have {char!r} here")
    if char == "\\":
        index += 1
        char = pattern[index : index + 1]
    if index + 1 >= len(pattern):
        raise ValueError("a class is not closed with ]")
    if "\udc80" <= char <= "\udcff":
        raise ValueError("a class has a character that is not UTF-8")
    return char, index + 1


def _class_source(token: Token) -> str:
    _, negated, ranges, _ = token
    body = "".join(f"\\U{ord(low):08x}-\\U{ord(high):08x}" for low, high in ranges if low <= high)
    if not body:
        return r"[\s\S]" if negated else r"(?!)"
    return f"[{'^' if negated else ''}{body}]"


def regex_source(tokens: Sequence[Token], *, leftmost: bool = False) -> str | None:
    """The tokens as a regular expression for the whole text, with `.` for any character (re.DOTALL).

    What stands between two `*` is taken at its first place, for good, where another place cannot help:
    everywhere with `leftmost` (as Go's filepath.Match does). None when too much backtracking would be left.
    """
    import re

    out: list[str] = []
    backtracking = 0
    open_groups = 0
    for index, token in enumerate(tokens):
        kind = token[0]
        if kind == "literal":
            out.append(re.escape(token[1]))
        elif kind == "one":
            out.append("[^/]")
        elif kind == "class":
            out.append(_class_source(token))
        else:
            if open_groups:
                out.append(")")
                open_groups = 0
            if kind == "star":
                if _can_be_atomic(tokens, index, leftmost):
                    out.append("(?>[^/]*?")
                    open_groups = 1
                else:
                    out.append("[^/]*")
                    backtracking += 1
            elif kind == "dirs":
                out.append("(?:.*/)?")
                backtracking += 1
            else:
                out.append(".*")
    return None if backtracking > _MAX_BACKTRACKING else "".join(out)


def _can_be_atomic(tokens: Sequence[Token], index: int, leftmost: bool) -> bool:
    """Whether what follows the `*` at `index` may be taken at its first place: another `*` comes after it."""
    for token in tokens[index + 1 :]:
        if token[0] in ("star", "rest"):
            return True
        if token[0] == "dirs" or (token[0] == "class" and token[3] and not leftmost):
            return False
    return False


def compile_tokens(tokens: Sequence[Token], *, leftmost: bool = False) -> Callable[[str], bool]:
    """A test for whole texts."""
    import re

    source = regex_source(tokens, leftmost=leftmost)
    if source is None:
        return _simulation(tokens)
    fullmatch = re.compile(source, re.DOTALL).fullmatch
    return lambda text: fullmatch(text) is not None


def _simulation(tokens: Sequence[Token]) -> Callable[[str], bool]:
    """A test in time proportional to text times pattern: all states of the automaton at once."""
    program: list[Token] = []
    for token in tokens:
        if token[0] == "literal":
            program.extend(("char", char) for char in token[1])
        elif token[0] == "dirs":
            program.extend((("maybe",), ("until_slash",)))
        else:
            program.append(token)
    end = len(program)

    def close(states: set[int]) -> set[int]:
        for state in sorted(states):
            while state < end and program[state][0] in ("star", "rest", "maybe"):
                if program[state][0] == "maybe":
                    states.add(state + 1)
                    state += 2
                else:
                    state += 1
                if state in states:
                    break
                states.add(state)
        return states

    def test(text: str) -> bool:
        states = close({0})
        for char in text:
            after: set[int] = set()
            for state in states:
                if state == end:
                    continue
                step = program[state]
                kind = step[0]
                if kind == "char":
                    if char == step[1]:
                        after.add(state + 1)
                elif kind == "one":
                    if char != "/":
                        after.add(state + 1)
                elif kind == "class":
                    if any(low <= char <= high for low, high in step[2]) != step[1]:
                        after.add(state + 1)
                elif kind == "star":
                    if char != "/":
                        after.add(state)
                elif kind == "rest":
                    after.add(state)
                elif kind == "until_slash":
                    after.add(state)
                    if char == "/":
                        after.add(state + 1)
            if not after:
                return False
            states = close(after)
        return end in states

    return test
