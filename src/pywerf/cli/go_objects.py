"""Values as Go programs show them: the same one by its Go names in templates and by its JSON names in JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pywerf.config.template import Func, Struct

__all__ = ["GoObject", "dump", "field", "go_time", "json_function", "plain"]

Field = tuple[str, str, bool, Any]


def field(go_name: str, json_name: str, value: Any, *, omit_empty: bool = False) -> Field:
    """A field by its two names. `omit_empty`: left out of JSON when it is empty, as Go's `omitempty`."""
    return (go_name, json_name, omit_empty, value)


class GoObject(Struct):
    """A Go struct with JSON names. `methods` are extra names for templates that JSON does not show."""

    __slots__ = ("json_fields", "scalar")

    def __init__(
        self,
        type_name: str,
        fields: Sequence[Field],
        methods: Mapping[str, Func] | None = None,
        *,
        string: Callable[[], str] | None = None,
        scalar: str | None = None,
    ) -> None:
        super().__init__(type_name, {name: value for name, _, _, value in fields}, methods, string)
        self.json_fields = tuple((json_name, omit, value) for _, json_name, omit, value in fields)
        self.scalar = scalar


def go_time(text: str) -> GoObject | None:
    """An RFC 3339 time: in templates as time.Time prints, in JSON as it came. None for no time."""
    if not text:
        return None
    shown = text.replace("T", " ", 1)
    shown = shown[:-1] + " +0000 UTC" if shown.endswith("Z") else shown
    return GoObject("time.Time", (), string=lambda: shown, scalar=text)


def plain(value: Any) -> Any:
    """A value for `json.dumps`."""
    if isinstance(value, GoObject):
        if value.scalar is not None:
            return value.scalar
        return {name: plain(item) for name, omit, item in value.json_fields if not (omit and _is_empty(item))}
    if isinstance(value, Struct):
        return {name: plain(item) for name, item in value.fields.items()}
    if isinstance(value, Mapping):
        return {str(key): plain(value[key]) for key in sorted(value)}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def dump(value: Any, *, indent: int | None = None) -> str:
    """JSON as Go's encoding/json writes it, which keeps `<`, `>` and `&` out of the text."""
    separators = (",", ":") if indent is None else (",", ": ")
    text = json.dumps(plain(value), ensure_ascii=False, indent=indent, separators=separators)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def json_function() -> dict[str, Func]:
    """`json`, and the other functions that docker, podman and buildah add to templates."""
    return {
        "json": Func("json", dump, ("any",)),
        "join": Func("join", lambda items, separator: separator.join(map(str, items or ())), ("list", "string")),
        "split": Func("split", lambda text, separator: text.split(separator or None), ("string", "string")),
        "lower": Func("lower", str.lower, ("string",)),
        "upper": Func("upper", str.upper, ("string",)),
        "title": Func("title", lambda text: text[:1].upper() + text[1:], ("string",)),
        "truncate": Func("truncate", lambda text, length: text[: max(0, length)], ("string", "int")),
    }


def _is_empty(value: Any) -> bool:
    if isinstance(value, GoObject):
        return value.scalar == ""
    return (
        value is None or value is False or value in ("", 0) or (isinstance(value, list | tuple | Mapping) and not value)
    )
