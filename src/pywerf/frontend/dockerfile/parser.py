"""Reads a Dockerfile into its syntax tree.

The rules are those of BuildKit's reference parser (moby/buildkit, frontend/dockerfile/parser): directives, comments,
continuations, JSON forms with their fall-backs, here-documents. Unknown instructions are no error here yet.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, cast

from pywerf.errors import DockerfileError, SourceExcerpt
from pywerf.frontend.dockerfile.ast import Directive, Dockerfile, EscapeToken, Heredoc, Node, ParseWarning
from pywerf.frontend.dockerfile.gotext import SPACES, fields
from pywerf.frontend.dockerfile.lexer import heredocs_of_line, json_array, key_values, split_command, words

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MAX_LINE", "parse"]

MAX_LINE = 65535
"""The longest line in bytes, as in the reference parser."""

_BOM = "\ufeff"
_DIRECTIVES = ("syntax", "escape", "check")
_MAX_ONBUILD = 50


def parse(data: bytes | str, filename: str = "Dockerfile") -> Dockerfile:
    """The syntax tree of a Dockerfile. Bytes that are not UTF-8 are kept (surrogateescape).

    Raises DockerfileError, with the lines it is about.
    """
    text = data.decode("utf-8", "surrogateescape") if isinstance(data, bytes) else data
    return _Parser(text, filename).parse()


class _Parser:
    """`raw` are the lines with their ends, `at` the next one; lines[i] is raw[i] without its end."""

    __slots__ = ("at", "escape", "filename", "lines", "raw", "warnings")

    def __init__(self, text: str, filename: str) -> None:
        self.filename = filename
        self.raw = text.split("\n")
        last = self.raw.pop()
        self.raw = [line + "\n" for line in self.raw]
        if last:
            self.raw.append(last)
        self.lines = [line.rstrip("\r\n") for line in self.raw]
        if self.lines and self.lines[0].startswith(_BOM):
            self.lines[0] = self.lines[0][1:]
        self.escape: EscapeToken = "\\"
        self.warnings: list[ParseWarning] = []
        self.at = 0

    def parse(self) -> Dockerfile:
        if max(map(len, self.raw), default=0) * 4 > MAX_LINE:
            self.check_length()
        directives = self.directives()
        nodes: list[Node] = []
        lines, count, escape = self.lines, len(self.lines), self.escape
        comments: list[str] = []
        begin = 0  # the first line that belongs to no node yet
        top = directives[-1].line if directives else 0
        while self.at < count:
            line = lines[self.at].lstrip(SPACES)
            if not line or line[0] == "#":
                if len(line) > 1 and self.at >= top:
                    comment = line[1:].strip(SPACES)
                    comments = [*comments, comment] if comment else []
                else:
                    comments = []
                self.at += 1
                continue
            first = self.at
            self.at += 1
            trimmed = line.rstrip(" \t")
            if trimmed[-1] == escape and (len(trimmed) == 1 or trimmed[-2] != escape):
                line = self.continued(trimmed[:-1], first)
            nodes.append(self.node(line, first, "".join(self.raw[begin:first]), tuple(comments)))
            comments = []
            begin = self.at
        if not nodes:
            raise DockerfileError(
                "file with no instructions",
                hint="a Dockerfile begins with FROM",
                source=SourceExcerpt(self.filename, max(count, 1), max(count, 1), tuple(lines[-1:])),
            )
        return Dockerfile(
            filename=self.filename,
            nodes=tuple(nodes),
            escape=self.escape,
            directives=directives,
            warnings=tuple(self.warnings),
            lines=tuple(lines),
            trailing="".join(self.raw[begin:]),
        )

    def check_length(self) -> None:
        for number, line in enumerate(self.raw):
            if len(line.removesuffix("\n").encode("utf-8", "replace")) > MAX_LINE:
                raise DockerfileError(
                    f"dockerfile line greater than max allowed size of {MAX_LINE}",
                    hint="COPY the data from a file, or break the line with a continuation",
                    source=SourceExcerpt(self.filename, number + 1, number + 1, (line[:80],)),
                )

    def directives(self) -> tuple[Directive, ...]:
        """The parser directives at the top: they end with the first line that is none."""
        found: dict[str, Directive] = {}
        start = 0
        # Behind a `#!` line, `syntax` and `check` still count, for that is how they are looked up; `escape` does not.
        shebang = bool(self.lines) and self.lines[0].startswith("#!")
        for number, line in enumerate(self.lines[shebang:], start + 1 + shebang):
            match = _directive().match(line.lstrip(SPACES)) if "=" in line and "#" in line else None
            name = match[1].lower() if match else ""
            if match is None or name not in _DIRECTIVES or (shebang and name == "escape"):
                break
            if name in found:
                if shebang:
                    break
                raise self.error(f"only one {name} parser directive can be used", number - 1)
            found[name] = Directive(name, match[2], number)
            if name == "escape":
                if match[2] not in ("\\", "`"):
                    raise self.error(f"invalid escape token '{match[2]}' does not match ` or \\", number - 1)
                self.escape = cast("EscapeToken", match[2])
        return tuple(found.values())

    def continued(self, line: str, first: int) -> str:
        """The logical line that begins with `line`, whose continuation stands at `at`."""
        parts = [line]
        lines, count, escape = self.lines, len(self.lines), self.escape
        empty = False
        while self.at < count:
            piece = lines[self.at]
            self.at += 1
            bare = piece.lstrip(SPACES)
            if not bare:
                empty = True
                continue
            if bare[0] == "#":
                continue
            trimmed = piece.rstrip(" \t")
            if trimmed[-1:] == escape and (len(trimmed) == 1 or trimmed[-2] != escape):
                parts.append(trimmed[:-1])
                continue
            parts.append(piece)
            break
        line = "".join(parts)
        if empty:
            self.warnings.append(ParseWarning(f"Empty continuation line found in: {line}", first + 1, self.at))
        return line

    def node(self, line: str, first: int, leading: str, comments: tuple[str, ...]) -> Node:
        try:
            node = self.instruction(line)
            heredocs: tuple[Heredoc, ...] = ()
            if "<<" in line and _takes_heredocs(node):
                heredocs = tuple([self.heredoc(heredoc, first) for heredoc in heredocs_of_line(line)])
        except DockerfileError as error:
            if error.source is not None:
                raise
            raise self.error(error.message, first, self.at, hint=error.hint) from error
        except RecursionError as error:
            raise self.error("ONBUILD is nested too deeply", first, self.at) from error
        return Node(
            node.keyword,
            node.name,
            node.args,
            node.flags,
            node.json,
            line,
            heredocs,
            node.child,
            first + 1,
            self.at,
            comments,
            leading,
            "".join(self.raw[first : self.at]),
        )

    def instruction(self, line: str, depth: int = 0) -> Node:
        """The node of a logical line, without its place. Raises DockerfileError."""
        keyword, flags, rest = split_command(line)
        name = keyword.upper()
        kind = _ARGUMENTS.get(name)
        if kind is None:
            return Node(keyword, name, ("",), flags, False, line)
        if kind == "onbuild":
            if not rest:
                return Node(keyword, name, (), flags, False, line)
            if depth > _MAX_ONBUILD:
                raise DockerfileError("ONBUILD is nested too deeply")
            return Node(keyword, name, (), flags, False, line, (), self.instruction(rest, depth + 1))
        args, json = _READERS[kind](rest, name, self.escape)
        return Node(keyword, name, args, flags, json, line)

    def heredoc(self, heredoc: Heredoc, first: int) -> Heredoc:
        """The here-document whose body stands at `at`."""
        begin = self.at
        for number in range(begin, len(self.lines)):
            line = self.lines[number]
            if (line.lstrip("\t") if heredoc.chomp else line) == heredoc.name:
                self.at = number + 1
                content = "".join(self.raw[begin:number])
                return Heredoc(heredoc.name, heredoc.expand, heredoc.chomp, heredoc.fd, content)
        raise self.error(
            "unterminated heredoc", first, begin, hint=f"a line that is exactly {heredoc.name} ends the here-document"
        )

    def error(self, message: str, first: int, end: int | None = None, *, hint: str | None = None) -> DockerfileError:
        """An error about the lines from index `first` to before `end`."""
        last = first + 1 if end is None else max(end, first + 1)
        source = SourceExcerpt(self.filename, first + 1, last, tuple(self.lines[first:last]))
        return DockerfileError(message, hint=hint, source=source)


@functools.cache
def _directive() -> re.Pattern[str]:
    return re.compile(r"#[\t\n\f\r ]*([a-zA-Z][a-zA-Z0-9]*)[\t\n\f\r ]*=[\t\n\f\r ]*(.+?)[\t\n\f\r ]*\Z")


def _takes_heredocs(node: Node) -> bool:
    target = node.child or node
    return target.name in ("RUN", "COPY", "ADD") and not target.json


def _strings(rest: str, name: str, escape: str) -> tuple[tuple[str, ...], bool]:
    return tuple(fields(rest)), False


def _string(rest: str, name: str, escape: str) -> tuple[tuple[str, ...], bool]:
    return ((rest,) if rest else ()), False


def _json_or_string(rest: str, name: str, escape: str) -> tuple[tuple[str, ...], bool]:
    array = json_array(rest) if rest[:1] == "[" else None
    return (_string(rest, name, escape)) if array is None else (array, True)


def _json_or_strings(rest: str, name: str, escape: str) -> tuple[tuple[str, ...], bool]:
    array = json_array(rest) if rest[:1] == "[" else None
    return _strings(rest, name, escape) if array is None else (array, True)


def _words(rest: str, name: str, escape: str) -> tuple[tuple[str, ...], bool]:
    return tuple(words(rest, escape)), False


def _pairs(rest: str, name: str, escape: str) -> tuple[tuple[str, ...], bool]:
    return key_values(rest, name, escape), False


def _healthcheck(rest: str, name: str, escape: str) -> tuple[tuple[str, ...], bool]:
    end = next((i for i, char in enumerate(rest) if char in SPACES), len(rest))
    if not end:
        return (), False
    args, json = _json_or_string(rest[end:].lstrip(SPACES), name, escape)
    return (rest[:end], *args), json


_READERS: dict[str, Callable[[str, str, str], tuple[tuple[str, ...], bool]]] = {
    "healthcheck": _healthcheck,
    "json or string": _json_or_string,
    "json or strings": _json_or_strings,
    "pairs": _pairs,
    "string": _string,
    "strings": _strings,
    "words": _words,
}

_ARGUMENTS = {
    "ADD": "json or strings",
    "ARG": "words",
    "CMD": "json or string",
    "COPY": "json or strings",
    "ENTRYPOINT": "json or string",
    "ENV": "pairs",
    "EXPOSE": "strings",
    "FROM": "strings",
    "HEALTHCHECK": "healthcheck",
    "LABEL": "pairs",
    "MAINTAINER": "string",
    "ONBUILD": "onbuild",
    "RUN": "json or string",
    "SHELL": "json or string",
    "STOPSIGNAL": "string",
    "USER": "string",
    "VOLUME": "json or strings",
    "WORKDIR": "string",
}
