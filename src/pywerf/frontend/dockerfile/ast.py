"""The syntax tree of a Dockerfile: one node an instruction, with everything that was written around it.

Nothing is lost: the texts of all `leading`, `raw` and of `trailing`, joined in order, are the file.
The arguments are those of BuildKit's reference parser (moby/buildkit, frontend/dockerfile/parser).
"""

from __future__ import annotations

from typing import Literal

import msgspec

from pywerf.errors import SourceExcerpt
from pywerf.frontend.dockerfile.gotext import quote
from pywerf.graph.source_range import SourceRange

__all__ = ["Directive", "Dockerfile", "EscapeToken", "Heredoc", "Node", "ParseWarning", "dump", "to_text"]

EscapeToken = Literal["\\", "`"]


class Heredoc(msgspec.Struct, frozen=True):
    """A here-document (`<<EOF`). `content` has its line ends, and still the tabs that `chomp` (`<<-`) removes.

    `expand` is false when a part of the word is quoted. `fd` is the number before `<<`, 0 when there is none.
    """

    name: str
    expand: bool = True
    chomp: bool = False
    fd: int = 0
    content: str = ""

    @property
    def text(self) -> str:
        """The content as it is used: without leading tabs for `<<-`."""
        if not self.chomp:
            return self.content
        return "\n".join(line.lstrip("\t") for line in self.content.split("\n"))


class Node(msgspec.Struct, frozen=True):
    """One instruction.

    `keyword` is the word as written, `name` in upper case. `flags` are the raw words `--x=y`, without quotes.
    `args`: words for most instructions; one string for RUN, CMD, ENTRYPOINT and the like in shell form; triples
    (name, value, `"="` or `""` for the old form) for ENV and LABEL; `json` tells that they were a JSON array.
    ONBUILD has no args but a `child`. `original` is the logical line: continuations joined, comments dropped.

    `first` and `last` are lines from 1, heredocs included. `comments` are the texts of the comment lines directly
    above. `leading` is the raw text (comments, blank lines, directives) since the instruction before, `raw` its own.
    """

    keyword: str
    name: str
    args: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    json: bool = False
    original: str = ""
    heredocs: tuple[Heredoc, ...] = ()
    child: Node | None = None
    first: int = 0
    last: int = 0
    comments: tuple[str, ...] = ()
    leading: str = ""
    raw: str = ""


class Directive(msgspec.Struct, frozen=True):
    """A parser directive: `name` is syntax, escape or check; `line` from 1."""

    name: str
    value: str
    line: int


class ParseWarning(msgspec.Struct, frozen=True):
    """Something that parses, but should not be written; `first` and `last` are lines from 1."""

    message: str
    first: int
    last: int


class Dockerfile(msgspec.Struct, frozen=True):
    """A parsed file. `lines` is its text without line ends; `trailing` is what follows the last instruction."""

    filename: str
    nodes: tuple[Node, ...]
    escape: EscapeToken = "\\"
    directives: tuple[Directive, ...] = ()
    warnings: tuple[ParseWarning, ...] = ()
    lines: tuple[str, ...] = ()
    trailing: str = ""

    def directive(self, name: str) -> Directive | None:
        """The directive of that name (`syntax`, `escape`, `check`), or None."""
        for directive in self.directives:
            if directive.name == name:
                return directive
        return None

    def excerpt(self, first: int, last: int, column: int | None = None, width: int = 1) -> SourceExcerpt:
        """The lines `first` to `last` as an error shows them."""
        return SourceExcerpt(self.filename, first, last, self.lines[first - 1 : last], column, width)

    def range(self, node: Node) -> SourceRange:
        """Where a node stands."""
        return SourceRange(self.filename, node.first, node.last)


def to_text(dockerfile: Dockerfile) -> str:
    """The file as text: what was parsed comes back byte for byte; nodes without `raw` are written afresh."""
    out: list[str] = []
    for node in dockerfile.nodes:
        if out and not out[-1].endswith("\n"):
            out.append("\n")
        out.append(node.leading)
        out.append(node.raw or _write(node, dockerfile.escape) + "\n")
    if dockerfile.trailing and out and not out[-1].endswith("\n"):
        out.append("\n")
    out.append(dockerfile.trailing)
    return "".join(out)


def _write(node: Node, escape: EscapeToken) -> str:
    """An instruction from its fields alone: one logical line, then its heredocs."""
    words = [node.keyword or node.name, *(_flag(flag) for flag in node.flags)]
    if node.child is not None:
        # The here-documents of a trigger belong to the ONBUILD.
        words.append(_write(msgspec.structs.replace(node.child, heredocs=()), escape))
    elif node.json and node.name == "HEALTHCHECK":
        words += [node.args[0], _json(node.args[1:])]
    elif node.json:
        words.append(_json(node.args))
    elif node.name in ("ENV", "LABEL"):
        for i in range(0, len(node.args), 3):
            words.append(node.args[i] + (node.args[i + 2] or " ") + node.args[i + 1])
    else:
        words += node.args
    out = " ".join(words)
    for heredoc in node.heredocs:
        content = heredoc.content
        out += "\n" + content + ("" if not content or content.endswith("\n") else "\n") + heredoc.name
    return out


def _flag(flag: str) -> str:
    """A flag so that it is read again as it is: blanks, quotes and backslashes want protection."""
    if flag and not any(char.isspace() or char in "'\"\\" for char in flag):
        return flag
    return "--" + "".join("\\" + char if char.isspace() or char in "'\"\\" else char for char in flag[2:])


def _json(args: tuple[str, ...]) -> str:
    encoded = (
        msgspec.json.encode(arg.encode("utf-8", "surrogateescape").decode("utf-8", "replace")).decode() for arg in args
    )
    return "[" + ", ".join(encoded) + "]"


def dump(dockerfile: Dockerfile) -> str:
    """The tree as S-expressions, in the form of BuildKit's own `Dump`."""
    return "\n".join(f"({_dump(node)})" for node in dockerfile.nodes)


def _dump(node: Node) -> str:
    out = node.keyword.lower()
    if node.flags:
        out += " [" + " ".join(map(quote, node.flags)) + "]"
    if node.child is not None:
        out += f" ({_dump(node.child)})"
    for arg in node.args:
        out += " " + quote(arg)
    return out.strip()
