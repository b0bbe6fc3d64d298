"""sprig's functions of lists. A list is never changed: a new one is made. `mustX` is X: both tell what is wrong."""

from __future__ import annotations

from typing import Any

from pywerf.config.template.sprig.convert import as_list, define, go_equal, is_empty, to_int
from pywerf.config.template.values import Func, FunctionError, go_type

__all__ = ["FUNCTIONS"]


def _first(value: Any) -> Any:
    found = as_list(value, "first")
    return found[0] if found else None


def _last(value: Any) -> Any:
    found = as_list(value, "last")
    return found[-1] if found else None


def _rest(value: Any) -> list[Any]:
    return as_list(value, "rest")[1:]


def _initial(value: Any) -> list[Any]:
    return as_list(value, "initial")[:-1]


def _append(value: Any, item: Any) -> list[Any]:
    return [*as_list(value, "push"), item]


def _prepend(value: Any, item: Any) -> list[Any]:
    return [item, *as_list(value, "prepend")]


def _uniq(value: Any) -> list[Any]:
    found: list[Any] = []
    for item in as_list(value, "uniq"):
        if not any(go_equal(item, other) for other in found):
            found.append(item)
    return found


def _without(value: Any, *left_out: Any) -> list[Any]:
    return [item for item in as_list(value, "without") if not any(go_equal(item, other) for other in left_out)]


def _has(needle: Any, value: Any) -> bool:
    return value is not None and any(go_equal(needle, item) for item in as_list(value, "has"))


def _slice(value: Any, *bounds: Any) -> Any:
    found = as_list(value, "slice")
    if not found:
        return None
    start = to_int(bounds[0]) if bounds else 0
    end = to_int(bounds[1]) if len(bounds) > 1 else len(found)
    if not 0 <= start <= end <= len(found):
        raise FunctionError(f"slice bounds out of range [{start}:{end}] with length {len(found)}")
    return found[start:end]


def _concat(*values: Any) -> list[Any]:
    return [item for value in values for item in as_list(value, "concat")]


def _chunk(size: int, value: Any) -> list[Any]:
    found = as_list(value, "chunk")
    if size < 1:
        raise FunctionError("chunk: the size must be 1 or more")
    return [found[start : start + size] for start in range(0, len(found), size)]


def _compact(value: Any) -> list[Any]:
    return [item for item in as_list(value, "compact") if not is_empty(item)]


def _all(*values: Any) -> bool:
    return not any(map(is_empty, values))


def _any(*values: Any) -> bool:
    return not all(map(is_empty, values))


def _list(*values: Any) -> list[Any]:
    return list(values)


def _reverse(value: Any) -> list[Any]:
    if not isinstance(value, list | tuple):
        raise FunctionError(f"cannot find reverse on type {go_type(value)}")
    return list(value)[::-1]


def _both(name: str, call: Any, *kinds: Any, variadic: bool = False) -> list[tuple[str, Func]]:
    must = "must" + name[0].upper() + name[1:]
    return [define(name, call, *kinds, variadic=variadic), define(must, call, *kinds, variadic=variadic)]


FUNCTIONS: dict[str, Func] = dict(
    [
        define("list", _list, "any", variadic=True),
        define("tuple", _list, "any", variadic=True),
        define("concat", _concat, "any", variadic=True),
        define("all", _all, "any", variadic=True),
        define("any", _any, "any", variadic=True),
        *_both("first", _first, "any"),
        *_both("last", _last, "any"),
        *_both("rest", _rest, "any"),
        *_both("initial", _initial, "any"),
        *_both("append", _append, "any", "any"),
        *_both("push", _append, "any", "any"),
        *_both("prepend", _prepend, "any", "any"),
        *_both("reverse", _reverse, "any"),
        *_both("uniq", _uniq, "any"),
        *_both("without", _without, "any", "any", variadic=True),
        *_both("has", _has, "any", "any"),
        *_both("slice", _slice, "any", "any", variadic=True),
        *_both("chunk", _chunk, "int", "any"),
        *_both("compact", _compact, "any"),
    ]
)
