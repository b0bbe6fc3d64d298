"""The functions that every Go template has. (`and` and `or` stand in `execute`: they stop early.)"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pywerf.config.template.printing import joined, show, sprint, sprintf, sprintln
from pywerf.config.template.values import NO_VALUE, Func, FunctionError, Kind, Struct, go_type, is_true, kind_of

__all__ = ["BUILTINS", "html_escape", "js_escape", "query_escape"]

_BASIC = ("bool", "int", "float64", "complex128", "string")
_ORDERED = ("int", "float64", "string")


def html_escape(text: str) -> str:
    """Text for HTML, as template.HTMLEscapeString."""
    for plain, escaped in (
        ("&", "&amp;"),
        ("\0", "\ufffd"),
        ('"', "&#34;"),
        ("'", "&#39;"),
        ("<", "&lt;"),
        (">", "&gt;"),
    ):
        text = text.replace(plain, escaped)
    return text


def js_escape(text: str) -> str:
    """Text for a JavaScript string, as template.JSEscapeString."""
    out = []
    for character in text:
        if character in "\\'\"":
            out.append("\\" + character)
        elif character in "<>&=" or character < " ":
            out.append(f"\\u{ord(character):04X}")
        elif character.isprintable() or character == " ":
            out.append(character)
        else:
            out.append(f"\\u{ord(character):04X}")
    return "".join(out)


def query_escape(text: str) -> str:
    """Text for the query of a URL, as url.QueryEscape."""
    safe = b"-_.~"
    return "".join(
        chr(byte) if (byte < 128 and chr(byte).isalnum()) or byte in safe else "+" if byte == 32 else f"%{byte:02X}"
        for byte in text.encode()
    )


def _index(item: Any, *keys: Any) -> Any:
    if item is None or item is NO_VALUE:
        raise FunctionError("index of untyped nil")
    for key in keys:
        if item is None or item is NO_VALUE:
            raise FunctionError("index of untyped nil")
        if isinstance(item, Mapping):
            of_texts = all(isinstance(known, str) for known in item) and not isinstance(key, str)
            if of_texts or isinstance(key, list | dict | Struct | Func):
                raise FunctionError(f"value has type {go_type(key)}; should be string")
            item = _lookup(item, key)
        elif isinstance(item, list | tuple):
            item = item[_position(key, len(item))]
        elif isinstance(item, str):
            data = item.encode()
            item = data[_position(key, len(data))]
        else:
            raise FunctionError(f"can't index item of type {go_type(item)}")
    return item


def _lookup(item: Mapping[Any, Any], key: Any) -> Any:
    # True is not 1 here, although Python's dictionaries think so.
    if isinstance(key, bool) and not any(known is key for known in item):
        return None
    return item.get(key)


def _position(key: Any, length: int, *, end: bool = False) -> int:
    if isinstance(key, bool) or not isinstance(key, int):
        raise FunctionError("cannot index slice/array with " + ("nil" if key is None else f"type {go_type(key)}"))
    if key < 0 or key > length or (key == length and not end):
        raise FunctionError(f"index out of range: {key}")
    return key


def _slice(item: Any, *bounds: Any) -> Any:
    if item is None or item is NO_VALUE:
        raise FunctionError("slice of untyped nil")
    if len(bounds) > 3:
        raise FunctionError(f"too many slice indexes: {len(bounds)}")
    if isinstance(item, str):
        if len(bounds) == 3:
            raise FunctionError("cannot 3-index slice a string")
        value: Any = item.encode()
    elif isinstance(item, list | tuple):
        value = item
    else:
        raise FunctionError(f"can't slice item of type {go_type(item)}")
    positions = [_position(bound, len(value), end=True) for bound in bounds]
    if positions != sorted(positions):
        raise FunctionError(f"invalid slice index: {positions[0]} > {positions[-1]}")
    start = positions[0] if positions else 0
    stop = positions[1] if len(positions) > 1 else len(value)
    cut = value[start:stop]
    return cut.decode(errors="replace") if isinstance(item, str) else list(cut)


def _len(item: Any) -> int:
    if isinstance(item, str):
        return len(item.encode())
    if isinstance(item, list | tuple | Mapping):
        return len(item)
    if item is None or item is NO_VALUE:
        raise FunctionError("len of nil pointer")
    raise FunctionError(f"len of type {go_type(item)}")


def _equal(first: Any, *others: Any) -> bool:
    if not others:
        raise FunctionError("missing argument for comparison")
    kind = kind_of(first)
    for other in others:
        other_kind = kind_of(other)
        if "nil" in (kind, other_kind):  # anything may be compared with nil
            same = kind == other_kind
        elif kind != other_kind:
            if kind in _BASIC or other_kind in _BASIC:
                raise FunctionError("incompatible types for comparison")
            raise FunctionError(f"non-comparable types {_typed(first)}, {go_type(other)}: {show(other)}")
        elif kind in ("list", "map", "func"):
            raise FunctionError(f"non-comparable type {_typed(other)}")
        else:
            same = first.fields == other.fields if isinstance(first, Struct) else first == other
        if same:
            return True
    return False


def _typed(value: Any) -> str:
    return f"{show(value)}: {go_type(value)}"


def _less(first: Any, second: Any) -> bool:
    kinds = kind_of(first), kind_of(second)
    if kinds[0] not in _ORDERED or kinds[1] not in _ORDERED:
        raise FunctionError("invalid type for comparison")
    if kinds[0] != kinds[1]:
        raise FunctionError("incompatible types for comparison")
    return bool(first < second)


def _func(name: str, call: Any, *kinds: Kind, variadic: bool = False) -> tuple[str, Func]:
    return name, Func(name, call, kinds, variadic=variadic)


def _escaper(escape: Any) -> Any:
    return lambda *values: escape(joined(values))


BUILTINS: dict[str, Func] = dict(
    (
        _func("not", lambda value: not is_true(value), "any"),
        _func("len", _len, "any"),
        _func("index", _index, "any", "any", variadic=True),
        _func("slice", _slice, "any", "any", variadic=True),
        _func("print", sprint, "any", variadic=True),
        _func("println", sprintln, "any", variadic=True),
        _func("printf", sprintf, "string", "any", variadic=True),
        _func("html", _escaper(html_escape), "any", variadic=True),
        _func("js", _escaper(js_escape), "any", variadic=True),
        _func("urlquery", _escaper(query_escape), "any", variadic=True),
        _func("eq", _equal, "any", "any", variadic=True),
        _func("ne", lambda first, second: not _equal(first, second), "any", "any"),
        _func("lt", _less, "any", "any"),
        _func("le", lambda first, second: _less(first, second) or _equal(first, second), "any", "any"),
        _func("gt", lambda first, second: not _less(first, second) and not _equal(first, second), "any", "any"),
        _func("ge", lambda first, second: not _less(first, second), "any", "any"),
    )
)
