"""How sprig makes strings, numbers and lists of whatever it is given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pywerf.config.template.printing import show
from pywerf.config.template.values import NO_VALUE, Func, FunctionError, Kind, Struct, go_type, kind_of

__all__ = [
    "as_list", "define", "go_equal", "is_empty", "to_float", "to_int", "to_string", "to_strings",
]  # fmt: skip

MAX_LENGTH = 16 << 20
_INT64 = 1 << 63


def define(name: str, call: Any, *kinds: Kind, variadic: bool = False) -> tuple[str, Func]:
    """One entry of a module's table."""
    return name, Func(name, call, kinds, variadic=variadic)


def to_string(value: Any) -> str:
    """strval: the text that `print` has for it."""
    return value if isinstance(value, str) else show(value)


def to_strings(value: Any) -> list[str]:
    """strslice: the texts of a list's items that are not nil; a single value is a list of one."""
    if isinstance(value, list | tuple):
        return [to_string(item) for item in value if item is not None and item is not NO_VALUE]
    return [] if value is None or value is NO_VALUE else [to_string(value)]


def to_int(value: Any) -> int:
    """A whole number; 0 for what is none."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int):
        return wrap(value)
    if isinstance(value, float):
        return wrap(int(value)) if abs(value) < _INT64 else 0
    if isinstance(value, str):
        text = value
        whole, point, rest = text.partition(".")
        if point and not rest.strip("0"):
            text = whole
        try:
            return _in_range(int(text.replace("_", "x"), 0))
        except ValueError:
            pass
        try:  # a leading zero is octal in Go, as in C
            digits = text.lstrip("+-")
            return _in_range(int(text, 8)) if len(digits) > 1 and digits[0] == "0" else 0
        except ValueError:
            return 0
    return 0


def _in_range(value: int) -> int:
    return value if -_INT64 <= value < _INT64 else 0


def wrap(value: int) -> int:
    """A result as 64 bits hold it."""
    return (value + _INT64) % (1 << 64) - _INT64


def to_float(value: Any) -> float:
    """A floating-point number; 0 for what is none."""
    if isinstance(value, bool):
        return float(value)
    if isinstance(value, int | float):
        return float(value)
    if isinstance(value, str):
        try:
            return float(value) if value == value.strip() and "_" not in value else 0.0
        except (ValueError, OverflowError):
            return 0.0
    return 0.0


def is_empty(value: Any) -> bool:
    """Whether it is the zero value of its kind, or has nothing in it; a struct never is."""
    if value is None or value is NO_VALUE:
        return True
    if isinstance(value, Struct | Func):
        return False
    return not value


def as_list(value: Any, what: str) -> list[Any]:
    """A list, or the complaint of the function `what`."""
    if isinstance(value, list | tuple):
        return list(value)
    raise FunctionError(f"cannot find {what} on type {go_type(value)}")


def go_equal(first: Any, second: Any) -> bool:
    """reflect.DeepEqual: equal in type and content."""
    first = None if first is NO_VALUE else first
    second = None if second is NO_VALUE else second
    if kind_of(first) != kind_of(second):
        return False
    if isinstance(first, Mapping):
        return first.keys() == second.keys() and all(go_equal(first[key], second[key]) for key in first)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(go_equal, first, second))
    if isinstance(first, Func):
        return False
    return bool(first == second)


def check_length(length: int) -> int:
    """A length that a result may have."""
    if length > MAX_LENGTH:
        raise FunctionError(f"the result would be longer than {MAX_LENGTH} characters")
    return length
