"""Cuts a template into text and the tokens of its actions (the tokens of Go's text/template/parse)."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Literal

from pywerf.errors import TemplateError

if TYPE_CHECKING:
    import re

__all__ = ["Token", "TokenKind", "line_and_column", "tokenize"]

TokenKind = Literal[
    "text", "left", "right", "space", "field", "dot", "identifier", "variable", "number", "char", "string",
    "pipe", "open", "close", "declare", "assign", "comma", "other", "end", "error",
]  # fmt: skip

LEFT, RIGHT = "{{", "}}"
_SPACES = " \t\r\n"


class Token:
    """One token: its kind, its text, and where it begins in the template."""

    __slots__ = ("kind", "position", "text")

    def __init__(self, kind: TokenKind, text: str, position: int) -> None:
        self.kind = kind
        self.text = text
        self.position = position


@functools.cache
def _token_pattern() -> re.Pattern[str]:
    import re

    digits = r"(?:[0-9][0-9_]*)"
    hexadecimal = r"0[xX][0-9a-fA-F_]*(?:\.[0-9a-fA-F_]*)?(?:[pP][+-]?[0-9_]+)?"
    decimal = rf"(?:{digits}(?:\.[0-9_]*)?|\.{digits})(?:[eE][+-]?[0-9_]+)?"
    real = rf"[+-]?(?:0[bB][01_]+|0[oO][0-7_]+|{hexadecimal}|{decimal})"
    return re.compile(
        rf"""
        (?P<space>[ \t\r\n]+)
        |(?P<number>{real}(?:i|[+-]{decimal}i)?)
        |(?P<field>\.[^\W\d]\w*)
        |(?P<dot>\.)
        |(?P<variable>\$\w*)
        |(?P<identifier>[^\W\d]\w*)
        |(?P<char>'(?:\\.|[^'\\\n])*')
        |(?P<string>"(?:\\.|[^"\\\n])*"|`[^`]*`)
        |(?P<declare>:=)
        |(?P<assign>=)
        |(?P<comma>,)
        |(?P<pipe>\|)
        |(?P<open>\()
        |(?P<close>\))
        """,
        re.VERBOSE,
    )


def tokenize(text: str, name: str) -> list[Token]:
    """All tokens, the last one of kind `end`. Text that trim markers remove is gone.

    What is no token is the last one, of kind `error`, with the message: what stands before it may be wrong as well, and
    is told first.
    """
    tokens: list[Token] = []
    try:
        _tokenize(text, name, tokens)
    except TemplateError as error:
        tokens.append(Token("error", error.message, len(text)))
    return tokens


def _tokenize(text: str, name: str, tokens: list[Token]) -> None:
    position = 0
    trim = False
    while True:
        start = text.find(LEFT, position)
        piece = text[position:] if start < 0 else text[position:start]
        begin = position
        if trim:
            begin += len(piece) - len(piece.lstrip(_SPACES))
            piece = piece.lstrip(_SPACES)
        trims_left = start >= 0 and text[start + 2 : start + 3] == "-" and text[start + 3 : start + 4] in tuple(_SPACES)
        if trims_left:
            piece = piece.rstrip(_SPACES)
        if piece:
            tokens.append(Token("text", piece, begin))
        if start < 0:
            tokens.append(Token("end", "", len(text)))
            return
        inside = start + (3 if trims_left else 2)
        after_space = inside + 1 if trims_left else inside
        if text.startswith("/*", after_space):
            position, trim = _comment(text, after_space, name)
            continue
        tokens.append(Token("left", LEFT, start))
        position, trim = _action(text, inside, name, tokens)


def line_and_column(text: str, position: int) -> tuple[int, int]:
    """The line (from 1) and the column (from 0, in bytes) of a position."""
    before = text[text.rfind("\n", 0, position) + 1 : position]
    return text.count("\n", 0, position) + 1, len(before.encode("utf-8", "surrogateescape"))


def _comment(text: str, start: int, name: str) -> tuple[int, bool]:
    end = text.find("*/", start + 2)
    if end < 0:
        raise _error(name, text, start, "unclosed comment")
    rest = text[end + 2 : end + 6]
    if rest.startswith(RIGHT):
        return end + 4, False
    if rest[:1] and rest[0] in _SPACES and rest[1:4] == "-" + RIGHT:
        return end + 6, True
    raise _error(name, text, start, "comment ends before closing delimiter")


def _action(text: str, position: int, name: str, tokens: list[Token]) -> tuple[int, bool]:
    """The tokens of one action; returns where it ends, and whether the text after it is trimmed."""
    pattern = _token_pattern()
    depth = 0
    while True:
        if text.startswith(RIGHT, position):
            trim, length = False, 2
        elif text[position : position + 1] in tuple(_SPACES) and text.startswith("-" + RIGHT, position + 1):
            trim, length = True, 4
        else:
            found = pattern.match(text, position)
            if found is None and "!" <= text[position : position + 1] <= "~" and text[position] not in "\"'`:":
                tokens.append(Token("other", text[position], position))
                position += 1
                continue
            if found is None:
                raise _error(name, text, position, _complaint(text, position))
            kind: TokenKind = found.lastgroup  # type: ignore[assignment]  # the pattern's group names are the kinds
            # A space before the closing trim marker belongs to the marker.
            stop = found.end()
            if kind == "space" and text.startswith("-" + RIGHT, stop):
                stop -= 1
            depth += (kind == "open") - (kind == "close")
            if depth < 0:
                raise _error(name, text, position, "unexpected right paren")
            _check_end(text, name, kind, found[0], stop)
            if stop > position:
                tokens.append(Token(kind, text[position:stop], position))
            position = stop
            continue
        if depth:
            raise _error(name, text, position, "unclosed left paren")
        tokens.append(Token("right", RIGHT, position))
        return position + length, trim


def _check_end(text: str, name: str, kind: TokenKind, word: str, stop: int) -> None:
    """A word must not run into the next one."""
    following = text[stop : stop + 1]
    if kind == "number" and (following.isalnum() or (following in ("_", ".") and following)):
        end = stop
        while end < len(text) and (text[end].isalnum() or text[end] in "_."):
            end += 1
        raise _error(name, text, stop, f'bad number syntax: "{word}{text[stop:end]}"')
    if (
        kind in ("field", "variable", "identifier")
        and following
        and following not in " \t\r\n.,|:=()"
        and not text.startswith(RIGHT, stop)
    ):
        raise _error(name, text, stop, f"bad character {_shown(following)}")


def _complaint(text: str, position: int) -> str:
    rest = text[position : position + 1]
    if not rest:
        return "unclosed action"
    if rest in "\"'`":
        return {'"': "unterminated quoted string", "'": "unterminated character constant"}.get(
            rest, "unterminated raw quoted string"
        )
    if rest == ":":
        return "expected :="
    return f"unrecognized character in action: {_shown(rest)}"


def _shown(character: str) -> str:
    return f"U+{ord(character):04X} {character!r}"


def _error(name: str, text: str, position: int, why: str) -> TemplateError:
    return TemplateError(f"template: {name}:{line_and_column(text, position)[0]}: {why}")
