"""What templates work on, beside plain values: structs, functions, and the value that is none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

__all__ = ["NO_VALUE", "Func", "FunctionError", "Kind", "NoValue", "Struct", "go_type", "is_true", "kind_of"]

# What a function wants of an argument. `any` takes everything, nil too.
Kind = Literal["any", "bool", "int", "float64", "string", "list", "map", "func"]


class FunctionError(Exception):
    """A function's complaint about its arguments; execution adds the place in the template."""


class NoValue:
    """The value of a key that a map has not: prints as `<no value>`, is false, has every field (as no value)."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<no value>"


NO_VALUE = NoValue()


class Func:
    """A function for templates.

    `kinds` are those of its parameters; with `variadic` the last one stands for any number, also none.
    `name` is for messages.
    """

    __slots__ = ("call", "kinds", "name", "variadic")

    def __init__(
        self, name: str, call: Callable[..., Any], kinds: tuple[Kind, ...] = (), *, variadic: bool = False
    ) -> None:
        self.name = name
        self.call = call
        self.kinds = kinds
        self.variadic = variadic

    def kind(self, position: int) -> Kind:
        """The kind of the argument at `position` (from 0), which the number of arguments allows."""
        return self.kinds[min(position, len(self.kinds) - 1)]

    def check_count(self, count: int) -> None:
        """Raise FunctionError when `count` arguments are too many or too few."""
        if self.variadic:
            if count < len(self.kinds) - 1:
                raise FunctionError(
                    f"wrong number of args for {self.name}: want at least {len(self.kinds) - 1} got {count}"
                )
        elif count != len(self.kinds):
            raise FunctionError(f"wrong number of args for {self.name}: want {len(self.kinds)} got {count}")


class Struct:
    """A value with named fields, like a Go struct: it prints as `{1 x}`, and an unknown field is an error.

    `methods` are called by their name, with arguments; `string` is how it prints instead (Stringer).
    """

    __slots__ = ("fields", "methods", "string", "type_name")

    def __init__(
        self,
        type_name: str,
        fields: Mapping[str, Any],
        methods: Mapping[str, Func] | None = None,
        string: Callable[[], str] | None = None,
    ) -> None:
        self.type_name = type_name
        self.fields = fields
        self.methods = methods or {}
        self.string = string


def kind_of(value: Any) -> str:
    """The kind of a value in Go's words, `nil` for None and for no value."""
    if value is None or value is NO_VALUE:
        return "nil"
    if isinstance(value, bool):
        return "bool"
    for types, name in _KINDS:
        if isinstance(value, types):
            return name
    return "invalid"


def go_type(value: Any) -> str:
    """The type as `%T` prints it."""
    kind = kind_of(value)
    if kind == "nil":
        return "<nil>"
    if isinstance(value, Struct):
        return value.type_name
    return {"list": "[]interface {}", "map": "map[string]interface {}", "func": "func"}.get(kind, kind)


def is_true(value: Any) -> bool:
    """What `if` takes for true: not the zero value of its kind; a struct always is."""
    return isinstance(value, Struct | Func) or (value is not NO_VALUE and bool(value))


_KINDS: tuple[tuple[Any, str], ...] = (
    (int, "int"),
    (float, "float64"),
    (complex, "complex128"),
    (str, "string"),
    ((list, tuple), "list"),
    (Mapping, "map"),
    (Struct, "struct"),
    (Func, "func"),
)
