"""Reads the tokens of a template into its tree, as Go's text/template/parse does."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TypeVar

from pywerf.config.template import nodes
from pywerf.config.template.constants import char_value, number_value, string_value
from pywerf.config.template.lexer import Token, line_and_column, tokenize
from pywerf.errors import TemplateError

__all__ = ["parse"]

T = TypeVar("T")

# Blocks and parentheses in each other: more than people write, less than Python's own stack holds.
MAX_DEPTH = 100

_KEYWORDS = frozenset(("if", "else", "end", "range", "with", "define", "template", "block", "break", "continue"))


def parse(text: str, name: str, functions: Collection[str]) -> dict[str, list[nodes.Node]]:
    """The trees of a template and of all that it defines, by name. Raises TemplateError."""
    parser = _Parser(text, name, functions)
    try:
        parser.trees[name] = parser.block(top=True)[0]
    except RecursionError:
        # Whoever called us stands deep in the stack already.
        raise TemplateError(f"template: {name}: too many levels in each other") from None
    return parser.trees


class _Parser:
    def __init__(self, text: str, name: str, functions: Collection[str]) -> None:
        self.source = text
        self.name = name
        self.functions = functions
        self.tokens = tokenize(text, name)
        self.index = 0
        self.variables = ["$"]
        self.ranges = 0
        self.depth = 0
        self.trees: dict[str, list[nodes.Node]] = {}

    # Tokens

    def next(self) -> Token:
        token = self.peek()
        if token.kind != "end":
            self.index += 1
        return token

    def peek(self) -> Token:
        token = self.tokens[self.index]
        if token.kind == "error":
            raise TemplateError(token.text)
        return token

    def skip_space(self) -> Token:
        """The next token that is no space, not yet taken."""
        while self.tokens[self.index].kind == "space":
            self.index += 1
        return self.peek()

    def error(self, why: str, token: Token | None = None) -> TemplateError:
        line = line_and_column(self.source, (token or self.peek()).position)[0]
        return TemplateError(f"template: {self.name}:{line}: {why}")

    def unexpected(self, token: Token, where: str) -> TemplateError:
        if token.kind == "end":
            return self.error("unexpected EOF", token)
        return self.error(f"unexpected {_shown(token)} in {where}", token)

    def text_from(self, start: int) -> str:
        """The source from `start` to the token before the next one, without spaces around."""
        return self.source[start : self.peek().position].strip()

    def expect_right(self, where: str) -> None:
        token = self.skip_space()
        if token.kind != "right":
            raise self.unexpected(token, where)
        self.next()

    # Blocks

    def block(self, *, top: bool = False) -> tuple[list[nodes.Node], str]:
        """Nodes up to `{{end}}` or `{{else` (which is returned), or to the end of the template at the top."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.error(f"more than {MAX_DEPTH} levels in each other")
        out: list[nodes.Node] = []
        while True:
            token = self.next()
            if token.kind == "end":
                if not top:
                    raise self.error("unexpected EOF", token)
                break
            if token.kind == "text":
                out.append(nodes.Text(token.position, token.text))
                continue
            word = self.skip_space()
            if word.kind == "identifier" and word.text in ("end", "else"):
                self.next()
                if word.text == "end":
                    self.expect_right("end")
                if top:
                    if word.text == "else":
                        self.expect_else()
                    raise self.error(f"unexpected {{{{{word.text}}}}}", word)
                self.depth -= 1
                return out, word.text
            node = self.action(token)
            if node is not None:
                out.append(node)
        self.depth -= 1
        return out, ""

    def expect_else(self) -> None:
        """After `{{else`: its end, or what begins another branch."""
        following = self.skip_space()
        if not (following.kind == "identifier" and following.text in ("if", "with")):
            self.expect_right("else")

    def action(self, left: Token) -> nodes.Node | None:
        word = self.peek()
        if word.kind == "identifier" and word.text in _KEYWORDS:
            self.next()
            if word.text in ("if", "range", "with"):
                return self.branch(word)
            if word.text == "define":
                self.define(word)
                return None
            if word.text in ("template", "block"):
                return self.invoke(word)
            if not self.ranges:
                raise self.error(f"{{{{{word.text}}}}} outside {{{{range}}}}", word)
            self.expect_right(f"{{{{{word.text}}}}}")
            return nodes.Control(word.position, word.text)
        pipe = self.pipeline("command", ("right",))
        self.next()
        return nodes.Action(left.position, pipe.text, pipe)

    def branch(self, word: Token) -> nodes.Branch:
        known = len(self.variables)
        kind = word.text
        pipe = self.pipeline(kind, ("right",))
        self.next()
        self.ranges += kind == "range"
        body, ending = self.block()
        self.ranges -= kind == "range"
        otherwise: list[nodes.Node] = []
        if ending == "else":
            following = self.skip_space()
            if following.kind == "identifier" and following.text == kind and kind in ("if", "with"):
                self.next()
                self.depth += 1
                if self.depth > MAX_DEPTH:
                    raise self.error(f"more than {MAX_DEPTH} levels in each other", following)
                otherwise = [self.branch(following)]
                self.depth -= 1
            else:
                self.expect_right("else")
                otherwise, ending = self.block()
                if ending == "else":
                    raise self.error("expected end; found {{else}}")
        del self.variables[known:]
        return nodes.Branch(word.position, f"{kind} {pipe.text}", kind, pipe, body, otherwise)

    def define(self, word: Token) -> None:
        if self.depth > 1:
            raise self.unexpected(word, "command")
        self.define_as(self.template_name("define clause"), word)

    def define_as(self, name: str, word: Token) -> None:
        """The body of a definition, up to its end: it sees no variable of where it stands."""
        self.expect_right("define clause")
        variables, self.variables = self.variables, ["$"]
        ranges, self.ranges = self.ranges, 0
        body, ending = self.block()
        self.variables, self.ranges = variables, ranges
        if ending != "end":
            raise self.error("unexpected {{else}} in define clause", word)
        # An empty definition neither replaces one with content nor hinders it (as in Go).
        if name not in self.trees or _is_empty(self.trees[name]):
            self.trees[name] = body
        elif not _is_empty(body):
            raise self.error(f'template: multiple definition of template "{name}"', word)

    def invoke(self, word: Token) -> nodes.Invoke:
        where = "template clause" if word.text == "template" else "block clause"
        position = self.skip_space().position
        name = self.template_name(where)
        pipe = None
        if word.text == "block" or self.skip_space().kind != "right":
            pipe = self.pipeline(where, ("right",))
        text = f"{{{{template {self.source[position : self.peek().position].strip()}}}}}"
        if word.text == "block":
            self.define_as(name, word)
        else:
            self.expect_right(where)
        return nodes.Invoke(position, text, name, pipe)

    def template_name(self, where: str) -> str:
        token = self.skip_space()
        if token.kind != "string":
            raise self.unexpected(token, where)
        self.next()
        return self.constant(token, string_value)

    # Pipelines

    def pipeline(self, where: str, ends: tuple[str, ...]) -> nodes.Pipe:
        """A pipeline up to one of the tokens `ends`, which stays to be taken."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.error(f"more than {MAX_DEPTH} levels in each other")
        start = self.skip_space().position
        variables, assign = self.declarations(where)
        commands: list[nodes.Command] = []
        while True:
            token = self.skip_space()
            if token.kind in ends:
                break
            commands.append(self.command(where, ends))
            if self.skip_space().kind == "pipe":
                self.next()
                if self.skip_space().kind in ends:
                    raise self.error(f"missing value for {where}")
        if not commands:
            raise self.error(f"missing value for {where}")
        for number, command in enumerate(commands[1:], 2):
            if isinstance(command.arguments[0], nodes.Constant | nodes.Dot | nodes.Nil):
                raise self.error(f"non executable command in pipeline stage {number}")
        self.depth -= 1
        return nodes.Pipe(start, self.text_from(start), variables, assign, commands)

    def declarations(self, where: str) -> tuple[list[str], bool]:
        """`$x :=`, `$x =` or, in a range, `$i, $x :=` at the start of a pipeline."""
        mark = self.index
        found: list[str] = []
        while self.skip_space().kind == "variable":
            token = self.next()
            sign = self.skip_space()
            if sign.kind == "comma" and where == "range" and not found:
                self.next()
                found.append(token.text)
                if self.skip_space().kind != "variable":
                    raise self.error("range can only initialize variables")
                continue
            if sign.kind in ("declare", "assign"):
                self.next()
                found.append(token.text)
                self.variables.extend(found)  # those that are assigned to, too: whether they are there is seen later
                return found, sign.kind == "assign"
            if found:
                raise self.error(f"too many declarations in {where}" if sign.kind == "comma" else "expected :=", sign)
            if sign.kind == "comma":
                raise self.unexpected(sign, where)
            break
        self.index = mark
        return [], False

    def command(self, where: str, ends: tuple[str, ...]) -> nodes.Command:
        """Operands up to a `|` or an end."""
        start = self.skip_space().position
        arguments: list[nodes.Node] = []
        while True:
            token = self.skip_space()
            if token.kind == "pipe" or token.kind in ends:
                break
            operand = self.operand(where)
            arguments.append(operand)
            token = self.peek()
            if token.kind == "space" or token.kind == "pipe" or token.kind in ends:
                continue
            raise self.unexpected(token, where if token.kind in ("end", "right", "close") else "operand")
        if not arguments:
            raise self.error("empty command")
        return nodes.Command(start, self.text_from(start), arguments)

    def operand(self, where: str) -> nodes.Node:
        """A term, with the fields that follow it."""
        start = self.peek().position
        node = self.term(where)
        names: list[str] = []
        place = self.peek().position  # Go's messages point at the first of the fields that follow
        while self.peek().kind == "field":
            names.append(self.next().text[1:])
        if not names:
            return node
        text = self.text_from(start)
        if isinstance(node, nodes.Field):
            return nodes.Field(place, text, (*node.names, *names))
        if isinstance(node, nodes.Variable):
            return nodes.Variable(place, text, node.name, (*node.names, *names))
        if isinstance(node, nodes.Constant | nodes.Nil | nodes.Dot):
            raise self.error(f'unexpected . after term "{node.text}"')
        return nodes.Chain(place, text, node, tuple(names))

    def term(self, where: str) -> nodes.Node:
        token = self.next()
        kind, text, position = token.kind, token.text, token.position
        if kind == "identifier":
            if text in ("true", "false"):
                return nodes.Constant(position, text, text == "true")
            if text == "nil":
                return nodes.Nil(position, text)
            if text in _KEYWORDS:
                raise self.unexpected(token, where)
            if text not in self.functions:
                raise self.error(f'function "{text}" not defined', token)
            return nodes.Identifier(position, text, text)
        if kind == "dot":
            return nodes.Dot(position, text)
        if kind == "field":
            return nodes.Field(position, text, (text[1:],))
        if kind == "variable":
            if text not in self.variables:
                raise self.error(f'undefined variable "{text}"', token)
            return nodes.Variable(position, text, text, ())
        if kind == "number":
            return nodes.Constant(position, text, self.constant(token, number_value))
        if kind == "char":
            return nodes.Constant(position, text, self.constant(token, char_value))
        if kind == "string":
            return nodes.Constant(position, text, self.constant(token, string_value))
        if kind == "open":
            pipe = self.pipeline("parenthesized pipeline", ("close",))
            self.next()
            return pipe
        raise self.unexpected(token, where)

    def constant(self, token: Token, read: Callable[[str], T]) -> T:
        try:
            return read(token.text)
        except ValueError as error:
            raise self.error(str(error), token) from error


def _is_empty(body: list[nodes.Node]) -> bool:
    return all(isinstance(node, nodes.Text) and not node.text.strip() for node in body)


def _shown(token: Token) -> str:
    if token.kind == "dot" or (token.kind == "identifier" and token.text in {*_KEYWORDS, "nil"}):
        return f"<{token.text}>"
    return '"' + token.text.replace('"', '\\"') + '"'
