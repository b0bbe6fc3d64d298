"""sprig's functions of maps, defaults, types and JSON. `set`, `unset` and `merge` change their map, as in Go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pywerf.config.template.printing import sorted_keys
from pywerf.config.template.sprig.convert import define, go_equal, is_empty, to_string
from pywerf.config.template.values import NO_VALUE, Func, FunctionError, Struct, go_type, kind_of

__all__ = ["FUNCTIONS"]

_MAX_DEPTH = 100


def _map(value: Any) -> dict[Any, Any]:
    if not isinstance(value, dict):
        raise FunctionError(f"a map is expected, not {go_type(value)}")
    return value


def _dict(*values: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for n in range(0, len(values), 2):
        found[to_string(values[n])] = values[n + 1] if n + 1 < len(values) else ""
    return found


def _set(value: Any, key: str, item: Any) -> dict[Any, Any]:
    found = _map(value)
    if item is found or _contains(item, found, 0):
        raise FunctionError("a map cannot be put into itself")
    found[key] = item
    return found


def _contains(value: Any, wanted: Any, depth: int) -> bool:
    if value is wanted or depth > _MAX_DEPTH:
        return True
    if isinstance(value, Mapping):
        return any(_contains(item, wanted, depth + 1) for item in value.values())
    return isinstance(value, list | tuple) and any(_contains(item, wanted, depth + 1) for item in value)


def _unset(value: Any, key: str) -> dict[Any, Any]:
    found = _map(value)
    found.pop(key, None)
    return found


def _pluck(key: str, *maps: Any) -> list[Any]:
    return [value[key] for value in map(_map, maps) if key in value]


def _keys(*maps: Any) -> list[Any]:
    return [key for value in map(_map, maps) for key in sorted_keys(value)]


def _values(value: Any) -> list[Any]:
    found = _map(value)
    return [found[key] for key in sorted_keys(found)]


def _names(keys: Any) -> list[str]:
    found = [name for key in keys for name in (key if isinstance(key, list | tuple) else [key])]
    for name in found:
        if not isinstance(name, str):
            raise FunctionError(f"the name of a key is a string, not {go_type(name)}")
    return found


def _pick(value: Any, *keys: Any) -> dict[Any, Any]:
    found = _map(value)
    return {key: found[key] for key in _names(keys) if key in found}


def _omit(value: Any, *keys: Any) -> dict[Any, Any]:
    left_out = set(_names(keys))
    return {key: item for key, item in _map(value).items() if key not in left_out}


def _merge(value: Any, *others: Any) -> dict[Any, Any]:
    found = _map(value)
    for other in others:
        _merge_into(found, _map(other), False, 0)
    return found


def _merge_overwrite(value: Any, *others: Any) -> dict[Any, Any]:
    found = _map(value)
    for other in others:
        _merge_into(found, _map(other), True, 0)
    return found


def _merge_into(target: dict[Any, Any], source: Mapping[Any, Any], overwrite: bool, depth: int) -> None:
    """As mergo: what is empty in the target is filled; with `overwrite` what is not empty in the source wins."""
    if depth > _MAX_DEPTH:
        raise FunctionError("the maps are nested too deep")
    for key, item in source.items():
        there = target.get(key)
        if isinstance(there, dict) and isinstance(item, Mapping):
            _merge_into(there, item, overwrite, depth + 1)
        elif key not in target or is_empty(there) or (overwrite and not is_empty(item)):
            target[key] = _copy(item, 0)


def _copy(value: Any, depth: int) -> Any:
    if depth > _MAX_DEPTH:
        raise FunctionError("the value is nested too deep")
    if isinstance(value, Mapping):
        return {key: _copy(item, depth + 1) for key, item in value.items()}
    return [_copy(item, depth + 1) for item in value] if isinstance(value, list | tuple) else value


def _dig(*arguments: Any) -> Any:
    if len(arguments) < 3:
        raise FunctionError("dig needs at least three arguments")
    *keys, default, value = arguments
    for key in keys:
        if not isinstance(key, str):
            raise FunctionError(f"dig: a key is a string, not {go_type(key)}")
        if not isinstance(value, Mapping):
            raise FunctionError(f"dig: a map is expected at {key}, not {go_type(value)}")
        if key not in value:
            return default
        value = value[key]
    return value


# Defaults and types


def _default(default: Any, *given: Any) -> Any:
    return default if not given or is_empty(given[0]) else given[0]


def _coalesce(*values: Any) -> Any:
    return next((value for value in values if not is_empty(value)), None)


def _ternary(first: Any, second: Any, condition: bool) -> Any:
    return first if condition else second


def _type_is_like(wanted: str, value: Any) -> bool:
    return go_type(value) in (wanted, f"*{wanted}")


def _kind(value: Any) -> str:
    """reflect.Kind: a list is a slice, nothing is invalid."""
    return {"nil": "invalid", "list": "slice"}.get(kind_of(value), kind_of(value))


def _fail(message: str) -> str:
    raise FunctionError(message)


# JSON


def _to_json(value: Any, *, pretty: bool = False, raw: bool = False) -> str:
    import json

    text = json.dumps(
        _plain(value, 0),
        ensure_ascii=False,
        indent=2 if pretty else None,
        separators=(",", ": ") if pretty else (",", ":"),
        sort_keys=True,
    )
    if not raw:
        for sign in "<>&\u2028\u2029":
            text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _plain(value: Any, depth: int) -> Any:
    if depth > _MAX_DEPTH:
        raise FunctionError("the value is nested too deep")
    if value is NO_VALUE or value is None:
        return None
    if isinstance(value, Mapping):
        return {to_string(key): _plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, depth + 1) for item in value]
    if isinstance(value, Struct):
        return value.string() if value.string is not None else _plain(value.fields, depth + 1)
    if isinstance(value, float) and not isinstance(value, bool):
        if value != value or value in (float("inf"), float("-inf")):
            raise FunctionError("json: unsupported value")
        return int(value) if value.is_integer() and abs(value) < 1e21 else value
    if isinstance(value, Func | complex):
        raise FunctionError(f"json: unsupported type: {go_type(value)}")
    return value


def _quiet(call: Any, otherwise: Any) -> Any:
    """The same function, which gives `otherwise` where the strict one fails."""

    def run(value: Any) -> Any:
        try:
            return call(value)
        except FunctionError:
            return otherwise

    return run


def _from_json(text: str) -> Any:
    import json

    try:
        return json.loads(text, parse_int=float, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise FunctionError(f"not JSON: {error}") from error


def _no_constant(text: str) -> Any:
    raise ValueError(f"invalid value {text}")


FUNCTIONS = dict(
    (
        define("dict", _dict, "any", variadic=True),
        define("get", lambda value, key: _map(value).get(key, ""), "map", "string"),
        define("set", _set, "map", "string", "any"),
        define("unset", _unset, "map", "string"),
        define("hasKey", lambda value, key: key in _map(value), "map", "string"),
        define("pluck", _pluck, "string", "map", variadic=True),
        define("keys", _keys, "map", variadic=True),
        define("values", _values, "map"),
        define("pick", _pick, "map", "any", variadic=True),
        define("omit", _omit, "map", "any", variadic=True),
        define("merge", _merge, "map", "map", variadic=True),
        define("mustMerge", _merge, "map", "map", variadic=True),
        define("mergeOverwrite", _merge_overwrite, "map", "map", variadic=True),
        define("mustMergeOverwrite", _merge_overwrite, "map", "map", variadic=True),
        define("deepCopy", lambda value: _copy(value, 0), "any"),
        define("mustDeepCopy", lambda value: _copy(value, 0), "any"),
        define("dig", _dig, "any", variadic=True),
        define("default", _default, "any", "any", variadic=True),
        define("empty", is_empty, "any"),
        define("coalesce", _coalesce, "any", variadic=True),
        define("ternary", _ternary, "any", "any", "bool"),
        define("typeOf", go_type, "any"),
        define("typeIs", lambda wanted, value: go_type(value) == wanted, "string", "any"),
        define("typeIsLike", _type_is_like, "string", "any"),
        define("kindOf", _kind, "any"),
        define("kindIs", lambda wanted, value: _kind(value) == wanted, "string", "any"),
        define("deepEqual", go_equal, "any", "any"),
        define("fail", _fail, "string"),
        define("toJson", _quiet(_to_json, ""), "any"),
        define("mustToJson", _to_json, "any"),
        define("toPrettyJson", _quiet(lambda value: _to_json(value, pretty=True), ""), "any"),
        define("mustToPrettyJson", lambda value: _to_json(value, pretty=True), "any"),
        define("toRawJson", lambda value: _to_json(value, raw=True), "any"),
        define("mustToRawJson", lambda value: _to_json(value, raw=True), "any"),
        define("fromJson", _quiet(_from_json, None), "string"),
        define("mustFromJson", _from_json, "string"),
    )
)
