"""The syntax of wildcards: from a pattern's text to tokens, and from tokens to a matcher.

Tokens: ("literal", text) | ("one",) `?` | ("star",) `*` | ("class", negated, ranges, matches_slash). Only moby's
patterns have ("dirs",) `**/`: nothing or anything up to a `/`; ("rest",) a last `**`: anything, but for both no line
end; ("anything",); ("repeat", token, least, most or None); ("edge", begin | end | word | inside): a place, not a
character.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Sequence
from typing import Any

__all__ = ["Token", "clean", "compile_tokens", "parse", "regex_source"]

Token = tuple[Any, ...]

_EDGES = {"begin": r"\A", "end": r"\Z", "word": r"(?a:\b)", "inside": r"(?a:\B)"}

# More quantifiers than this that may try again at every character make `re` slow beyond use on hostile
# patterns; those are matched by following all possibilities at once.
_MAX_BACKTRACKING = 3


def clean(path: str) -> str:
    """Go's filepath.Clean: no `.`, no `//`, `..` taken lexically, no trailing slash; empty is `.`."""
    cleaned = posixpath.normpath(path)
    return cleaned[1:] if cleaned.startswith("//") else cleaned


def parse(pattern: str) -> tuple[Token, ...]:
    """The tokens of a pattern of Go's filepath.Match; ValueError says what is wrong with it."""
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
            if not (tokens and tokens[-1] == ("star",)):
                tokens.append(("star",))
        elif char == "?":
            flush()
            tokens.append(("one",))
        elif char == "[":
            flush()
            index = _parse_class(pattern, index, tokens)
        elif char == "\\":
            if index == end:
                raise ValueError("it ends with a backslash")
            literal.append(pattern[index])
            index += 1
        else:
            literal.append(char)
    flush()
    return tuple(tokens)


def _parse_class(pattern: str, index: int, tokens: list[Token]) -> int:
    """Read a class after its `[`; gives the index behind its `]`."""
    negated = pattern.startswith("^", index)
    index += negated
    ranges: list[tuple[str, str]] = []
    while not (ranges and pattern.startswith("]", index)):
        low, index = _class_character(pattern, index)
        high = low
        if pattern[index] == "-":
            high, index = _class_character(pattern, index + 1)
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
    """The tokens as a regular expression for the whole text.

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
        elif kind == "edge":
            out.append(_EDGES[token[1]])
        elif kind == "repeat":
            _, repeated, least, most = token
            one = regex_source((repeated,))
            out.append(f"(?:{one}){{{least},{'' if most is None else most}}}")
            backtracking += 1
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
                out.append(".*" if kind == "rest" else r"[\s\S]*")
    return None if backtracking > _MAX_BACKTRACKING else "".join(out)


def _can_be_atomic(tokens: Sequence[Token], index: int, leftmost: bool) -> bool:
    """Whether what follows the `*` at `index` may be taken at its first place: another `*` comes after it."""
    for token in tokens[index + 1 :]:
        if token[0] == "star":
            return True
        if token[0] in ("dirs", "rest", "repeat", "edge", "anything") or (
            token[0] == "class" and token[3] and not leftmost
        ):
            return False
    return False


def compile_tokens(tokens: Sequence[Token], *, leftmost: bool = False) -> Callable[[str], bool]:
    """A test for whole texts."""
    import re

    source = regex_source(tokens, leftmost=leftmost)
    if source is None:
        return _simulation(tokens)
    fullmatch = re.compile(source).fullmatch
    return lambda text: fullmatch(text) is not None


def _program(tokens: Sequence[Token]) -> list[tuple[str, Token]]:
    """Steps of one character each: what it may be, and how often: `once`, `maybe`, `loop` (any number of times)."""
    program: list[tuple[str, Token]] = []
    for token in tokens:
        kind = token[0]
        if kind == "literal":
            program.extend(("once", ("literal", char)) for char in token[1])
        elif kind == "dirs":
            program.extend((("folders", token), ("to slash", token)))
        elif kind == "edge":
            program.append(("edge", token))
        elif kind == "repeat":
            _, repeated, least, most = token
            program.extend([("once", repeated)] * least)
            program.extend([("loop", repeated)] if most is None else [("maybe", repeated)] * (most - least))
        elif kind in ("one", "class"):
            program.append(("once", token))
        else:
            program.append(("loop", ("one",) if kind == "star" else token))
    return program


def _fits(token: Token, char: str) -> bool:
    """Whether a character is what a step wants."""
    kind = token[0]
    if kind == "literal":
        return bool(char == token[1])
    if kind == "one":
        return char != "/"
    if kind == "class":
        return bool(any(low <= char <= high for low, high in token[2]) != token[1])
    return kind == "anything" or char != "\n"


def _simulation(tokens: Sequence[Token]) -> Callable[[str], bool]:
    """A test in time proportional to text times pattern: all states of the automaton at once."""
    program = _program(tokens)
    end = len(program)

    def close(states: set[int], text: str, position: int) -> set[int]:
        """The states and those that are reached from them without a character."""
        for state in sorted(states):
            while state < end:
                how, token = program[state]
                if how == "folders":
                    states.add(state + 1)
                    state += 2
                elif how in ("loop", "maybe") or (how == "edge" and _is_edge(token[1], text, position)):
                    state += 1
                else:
                    break
                if state in states:
                    break
                states.add(state)
        return states

    def test(text: str) -> bool:
        states = close({0}, text, 0)
        for position, char in enumerate(text, 1):
            after: set[int] = set()
            for state in states:
                if state == end:
                    continue
                how, token = program[state]
                if how in ("folders", "edge") or not _fits(token, char):
                    continue
                if how != "once" and how != "maybe":
                    after.add(state)
                if how in ("once", "maybe") or (how == "to slash" and char == "/"):
                    after.add(state + 1)
            if not after:
                return False
            states = close(after, text, position)
        return end in states

    return test


def _is_edge(edge: str, text: str, position: int) -> bool:
    if edge in ("begin", "end"):
        return position == (0 if edge == "begin" else len(text))
    before, after = (
        char.isascii() and (char.isalnum() or char == "_")
        for char in (text[max(position - 1, 0) : position], text[position : position + 1])
    )
    return (before != after) == (edge == "word")
