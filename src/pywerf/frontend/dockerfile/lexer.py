"""Takes one logical line apart: keyword, flags, words, JSON array, here-document words."""

from __future__ import annotations

import functools
import re

import msgspec

from pywerf.errors import DockerfileError
from pywerf.frontend.dockerfile.ast import Heredoc
from pywerf.frontend.dockerfile.expand import Expander
from pywerf.frontend.dockerfile.gotext import SPACES, quote, split_once, strip

__all__ = ["heredoc_of_word", "heredocs_of_line", "json_array", "key_values", "split_command", "words"]


def split_command(line: str) -> tuple[str, tuple[str, ...], str]:
    """(keyword, flags, the rest without blanks around) of a logical line."""
    parts = split_once(strip(line))
    if len(parts) == 1:
        return parts[0], (), ""
    rest = parts[1]
    if not rest.startswith("--"):
        return parts[0], (), strip(rest)
    flags, rest = _split_flags(rest)
    return parts[0], flags, strip(rest)


def _split_flags(rest: str) -> tuple[tuple[str, ...], str]:
    """The leading words that begin with `--` (quotes and backslashes are taken away), and what follows them.

    A word `--` alone ends the flags. The escape directive has no say here: the backslash escapes always.
    """
    flags: list[str] = []
    position, end = 0, len(rest)
    while True:
        while position < end and rest[position] in SPACES:
            position += 1
        if not rest.startswith("--", position):
            return tuple(flags), rest[position:]
        word = ""
        quoted = ""
        while position < end:
            char = rest[position]
            if not quoted and char in SPACES:
                break
            position += 1
            if char == quoted:
                quoted = ""
            elif not quoted and char in "'\"":
                quoted = char
            elif char == "\\":
                word += rest[position : position + 1]
                position += 1
            else:
                word += char
        if word == "--":
            return tuple(flags), rest[position:]
        flags.append(word)


@functools.cache
def _word(escape: str) -> re.Pattern[str]:
    """A word with its quotes. Unclosed quotes reach to the end; a lone escape at the very end belongs to no word."""
    blank = re.escape(SPACES)
    e = re.escape(escape)
    return re.compile(
        rf"(?:[^{blank}'\"{e}]+|{e}(?s:.)|'[^']*(?:'|\Z)|\"(?:[^\"{e}]+|{e}(?s:.))*(?:\"|{e}?\Z))+|{e}\Z",
    )


def words(rest: str, escape: str) -> list[str]:
    """The words of ARG, ENV and LABEL: blanks in quotes and behind an escape do not separate; quotes stay."""
    if escape not in rest and '"' not in rest and "'" not in rest and rest.isascii():
        return rest.split()
    found: list[str] = _word(escape).findall(rest)
    if found and rest.endswith(escape):
        # The escape at the very end has nothing to escape: it is dropped, wherever it stands but in single quotes.
        last = found[-1]
        if _dangling(last, escape):
            found[-1] = last[:-1]
            if not found[-1]:
                found.pop()
    return found


def _dangling(word: str, escape: str) -> bool:
    """Whether the last character of `word` is an escape that escapes nothing."""
    quoted = ""
    position = 0
    while position < len(word):
        char = word[position]
        if char == escape and quoted != "'":
            if position + 1 == len(word):
                return True
            position += 1
        elif quoted:
            quoted = "" if char == quoted else quoted
        elif char in "'\"":
            quoted = char
        position += 1
    return False


def key_values(rest: str, name: str, escape: str) -> tuple[str, ...]:
    """The triples (key, value, separator) of ENV and LABEL; `KEY value…` is the old form, with `""` to separate.

    Raises DockerfileError when there is no value.
    """
    found = words(rest, escape)
    if not found:
        return ()
    if "=" not in found[0]:
        parts = split_once(rest)
        if len(parts) < 2:
            raise DockerfileError(f"{name} must have two arguments", hint=f"write {name} {parts[0]}=VALUE")
        return (parts[0], parts[1], "")
    out: list[str] = []
    for word in found:
        key, equals, value = word.partition("=")
        if not equals:
            raise DockerfileError(
                f"Syntax error - can't find = in {quote(word)}. Must be of the form: name=value",
                hint="a value with blanks wants quotes around it",
            )
        out += (key, value, equals)
    return tuple(out)


def json_array(rest: str) -> tuple[str, ...] | None:
    """The strings of a JSON array; None when the text is none. Raises DockerfileError for other things in an array."""
    text = rest.lstrip(SPACES)
    if not text.startswith("["):
        return None
    try:
        decoded = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        if text.isascii() and "\\u" not in text:
            return None
        decoded = _lenient_json(text)
    if not isinstance(decoded, list):
        return None
    for item in decoded:
        if type(item) is not str:
            raise DockerfileError(
                "when using JSON array syntax, arrays must be comprised of strings only",
                hint='put every item into double quotes: ["a", "1"]',
            )
    return tuple(decoded)


def _lenient_json(text: str) -> object:
    """As encoding/json: bytes that are no UTF-8 and halves of surrogate pairs become U+FFFD. None for no JSON."""
    import json

    def refuse(constant: str) -> object:
        raise ValueError(constant)

    try:
        decoded = json.loads(_scrub(text), parse_constant=refuse)
    except (ValueError, RecursionError):
        return None
    if not isinstance(decoded, list):
        return None
    return [_scrub(item) if type(item) is str else item for item in decoded]


def _scrub(text: str) -> str:
    return "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in text)


@functools.cache
def _heredoc() -> re.Pattern[str]:
    return re.compile(r"([0-9]*)<<(-?)([^<]+)")


def _unset(name: str) -> None:
    return None


def heredoc_of_word(word: str) -> Heredoc | None:
    """The here-document that a word asks for (`<<EOF`, `3<<-"EOF"`), without content; None when it asks for none.

    Raises DockerfileError for quotes that do not close.
    """
    if "<<" not in word:
        return None
    match = _heredoc().fullmatch(word)
    if match is None:
        return None
    fd, chomp, rest = match.groups()
    plain = Expander(_unset, skip_unset=True).words(rest)
    if len(plain) != 1:
        return None
    raw = Expander(_unset, skip_unset=True, raw_quotes=True).words(rest)
    if len(raw) != 1:
        return None
    # A quote that is in the raw word and not in the other one has quoted a part of it.
    name = plain[0]
    expand = name.count("'") + name.count('"') == raw[0].count("'") + raw[0].count('"')
    return Heredoc(name, expand, bool(chomp), int(fd[:9] or "0"))


def heredocs_of_line(line: str) -> list[Heredoc]:
    """The here-documents that a logical line asks for, in order. Raises DockerfileError."""
    if "<<" not in line:
        return []
    try:
        found = Expander(_unset, skip_unset=True, raw_quotes=True, raw_escapes=True).words(line)
    except DockerfileError:
        return []  # not words in the sense of a shell: the shell will say so
    return [heredoc for word in found if (heredoc := heredoc_of_word(word)) is not None]
