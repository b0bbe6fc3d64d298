"""The syntax tree of a template. `text` of a node is its source, `position` where that begins."""

from __future__ import annotations

from typing import Any

__all__ = [
    "Action", "Branch", "Chain", "Command", "Constant", "Control", "Dot", "Field", "Identifier", "Invoke", "Nil",
    "Node", "Pipe", "Text", "Variable",
]  # fmt: skip


class Node:
    """A piece of the template. `str()` is how Go writes it in messages."""

    __slots__ = ("position", "text")

    def __init__(self, position: int, text: str) -> None:
        self.position = position
        self.text = text

    def __str__(self) -> str:
        return self.text


class Text(Node):
    """Text between the actions: `text` goes out as it is."""

    __slots__ = ()


class Dot(Node):
    """`.`"""

    __slots__ = ()


class Nil(Node):
    """`nil`"""

    __slots__ = ()


class Constant(Node):
    """A string, a number, a character or a boolean."""

    __slots__ = ("value",)

    def __init__(self, position: int, text: str, value: Any) -> None:
        super().__init__(position, text)
        self.value = value


class Identifier(Node):
    """The name of a function."""

    __slots__ = ("name",)

    def __init__(self, position: int, text: str, name: str) -> None:
        super().__init__(position, text)
        self.name = name


class Field(Node):
    """`.a.b`"""

    __slots__ = ("names",)

    def __init__(self, position: int, text: str, names: tuple[str, ...]) -> None:
        super().__init__(position, text)
        self.names = names


class Variable(Node):
    """`$x.a.b`; `name` is with its dollar."""

    __slots__ = ("name", "names")

    def __init__(self, position: int, text: str, name: str, names: tuple[str, ...]) -> None:
        super().__init__(position, text)
        self.name = name
        self.names = names


class Chain(Node):
    """`(pipeline).a.b`"""

    __slots__ = ("names", "node")

    def __init__(self, position: int, text: str, node: Node, names: tuple[str, ...]) -> None:
        super().__init__(position, text)
        self.node = node
        self.names = names

    def __str__(self) -> str:
        return "".join((_operand(self.node), *(f".{name}" for name in self.names)))


class Command(Node):
    """Operands side by side: a function or a value, and its arguments."""

    __slots__ = ("arguments",)

    def __init__(self, position: int, text: str, arguments: list[Node]) -> None:
        super().__init__(position, text)
        self.arguments = arguments

    def __str__(self) -> str:
        return " ".join(map(_operand, self.arguments))


class Pipe(Node):
    """Commands joined by `|`, with the variables that take the result (`assign`: old ones, else new)."""

    __slots__ = ("assign", "commands", "variables")

    def __init__(self, position: int, text: str, variables: list[str], assign: bool, commands: list[Command]) -> None:
        super().__init__(position, text)
        self.variables = variables
        self.assign = assign
        self.commands = commands

    def __str__(self) -> str:
        taken = ", ".join(self.variables) + (" = " if self.assign else " := ") if self.variables else ""
        return taken + " | ".join(map(str, self.commands))


class Action(Node):
    """A pipeline whose value is printed, unless it declares variables."""

    __slots__ = ("pipe",)

    def __init__(self, position: int, text: str, pipe: Pipe) -> None:
        super().__init__(position, text)
        self.pipe = pipe


class Branch(Node):
    """`if`, `with` or `range` (`kind`)."""

    __slots__ = ("body", "kind", "otherwise", "pipe")

    def __init__(
        self, position: int, text: str, kind: str, pipe: Pipe, body: list[Node], otherwise: list[Node]
    ) -> None:
        super().__init__(position, text)
        self.kind = kind
        self.pipe = pipe
        self.body = body
        self.otherwise = otherwise


class Control(Node):
    """`break` or `continue`, which is its `text`."""

    __slots__ = ()


class Invoke(Node):
    """`template "name" pipeline`"""

    __slots__ = ("name", "pipe")

    def __init__(self, position: int, text: str, name: str, pipe: Pipe | None) -> None:
        super().__init__(position, text)
        self.name = name
        self.pipe = pipe


def _operand(node: Node) -> str:
    return f"({node})" if isinstance(node, Pipe) else str(node)
