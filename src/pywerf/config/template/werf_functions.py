"""Functions of werf's own that need nothing of the project: `required`, `fromYaml`, `toYaml`, and the dump."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from pywerf.config.template.printing import go_float, quote, sorted_keys
from pywerf.config.template.values import NO_VALUE, Func, FunctionError, Struct, go_type

__all__ = ["dump", "from_yaml", "required", "to_yaml"]

_MAX_NODES = 1_000_000
_MAX_DEPTH = 100


def required(message: str, value: Any) -> Any:
    """The value, unless it is nothing or an empty string."""
    if value is None or value is NO_VALUE or value == "":
        raise FunctionError(message)
    return value


def from_yaml(text: str) -> dict[Any, Any]:
    """The map that a text in YAML is."""
    import yaml

    try:
        value = _plain(yaml.load(text, Loader=_loader()), [0], 0)
    except yaml.YAMLError as error:
        raise FunctionError(f"not YAML: {' '.join(str(error).split())}") from error
    except (ValueError, RecursionError, TypeError) as error:
        raise FunctionError(f"not YAML that can be read: {error}") from error
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise FunctionError(f"a map is expected in the YAML, not {go_type(value)}")
    return value


def to_yaml(value: Any) -> str:
    """A value as YAML, keys sorted, without the newline that ends it; "" for what YAML cannot hold."""
    try:
        first, *lines = _block(value, [0], 0)
        if isinstance(value, str):
            lines = [f"  {line}" if line else "" for line in lines]
        return "\n".join((first, *lines))
    except FunctionError:
        return ""


def dump(value: Any, indent: str = "") -> str:
    """A value with the types of all its parts, for people."""
    inner = indent + "  "
    if isinstance(value, Mapping):
        if not value:
            return f"{go_type(value)} {{}}"
        parts = [f"{inner}{quote(str(key))}: {dump(value[key], inner)}" for key in sorted_keys(value)]
        return f"{go_type(value)} {{\n" + ",\n".join(parts) + f"\n{indent}}}"
    if isinstance(value, list | tuple):
        if not value:
            return f"{go_type(value)} []"
        return f"{go_type(value)} [\n" + ",\n".join(inner + dump(item, inner) for item in value) + f"\n{indent}]"
    if isinstance(value, Struct):
        parts = [f"{inner}{name}: {dump(item, inner)}" for name, item in value.fields.items()]
        parts += [f"{inner}{name}: func" for name in value.methods]
        return f"{value.type_name} {{\n" + ",\n".join(parts) + f"\n{indent}}}"
    if value is None or value is NO_VALUE:
        return "nil"
    shown = quote(value) if isinstance(value, str) else _scalar(value) if not isinstance(value, Func) else value.name
    return f"{go_type(value)} {shown}"


@functools.cache
def _loader() -> Any:
    """A loader that knows numbers as Go's does (`1e3`), and leaves dates as text: templates have no use for them."""
    import re

    import yaml

    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    class Loader(base):  # type: ignore[misc]  # the base is chosen at run time
        pass

    Loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in base.yaml_implicit_resolvers.items()
    }
    power = re.compile(r"[-+]?[0-9][0-9_]*(?:\.[0-9_]*)?[eE][-+]?[0-9]+$")
    Loader.add_implicit_resolver("tag:yaml.org,2002:float", power, list("-+0123456789"))
    return Loader


def _plain(value: Any, count: list[int], depth: int) -> Any:
    """A loaded value with what templates know alone; aliases are counted each time that they stand for something."""
    count[0] += 1
    if count[0] > _MAX_NODES or depth > _MAX_DEPTH:
        raise ValueError("it is too large")
    if isinstance(value, dict):
        return {
            key if isinstance(key, str) else _scalar(key): _plain(item, count, depth + 1) for key, item in value.items()
        }
    if isinstance(value, list | tuple | set):
        return [_plain(item, count, depth + 1) for item in value]
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def _block(value: Any, count: list[int], depth: int) -> list[str]:
    """The lines of a value."""
    count[0] += 1
    if count[0] > _MAX_NODES or depth > _MAX_DEPTH:
        raise FunctionError("a value that is too large for YAML")
    if isinstance(value, Mapping) and value:
        lines: list[str] = []
        for key in sorted_keys(value):
            name = _string(key, key=True) if isinstance(key, str) else _scalar(key)
            inner = _block(value[key], count, depth + 1)
            if _nests(value[key]):
                lines.append(f"{name}:")
                # a list stands under its key without an indent, as Go's encoders have it
                lines.extend(inner if isinstance(value[key], list | tuple) else [f"  {line}" for line in inner])
            else:
                lines.append(f"{name}: {inner[0]}")
                lines.extend(f"  {line}" if line else "" for line in inner[1:])
        return lines
    if isinstance(value, list | tuple) and value:
        lines = []
        for item in value:
            inner = _block(item, count, depth + 1)
            lines.append(f"- {inner[0]}")
            lines.extend(f"  {line}" if line else "" for line in inner[1:])
        return lines
    if isinstance(value, Mapping):
        return ["{}"]
    if isinstance(value, list | tuple):
        return ["[]"]
    if isinstance(value, Struct):
        return _block(value.fields, count, depth + 1) if value.string is None else [_string(value.string())]
    if isinstance(value, Func):
        raise FunctionError("a function is no YAML")
    if isinstance(value, str):
        return _literal(value) if "\n" in value and _fits_literal(value) else [_string(value)]
    return [_scalar(value)]


def _nests(value: Any) -> bool:
    if isinstance(value, Struct):
        return value.string is None and bool(value.fields)
    return isinstance(value, Mapping | list | tuple) and bool(value)


def _scalar(value: Any) -> str:
    if value is None or value is NO_VALUE:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return {"NaN": ".nan", "+Inf": ".inf", "-Inf": "-.inf"}.get(go_float(value), go_float(value))
    if isinstance(value, complex):
        raise FunctionError("a complex number is no YAML")
    return str(value)


def _fits_literal(text: str) -> bool:
    return (
        not text.startswith((" ", "\n", "\t"))
        and all(sign in "\n\t" or (sign.isprintable() and sign not in "\x85\u2028\u2029\ufeff") for sign in text)
        and not any(line != line.rstrip() and not line.strip() for line in text.split("\n"))
    )


def _literal(text: str) -> list[str]:
    body = text.rstrip("\n")
    newlines = len(text) - len(body)
    sign = "|-" if not newlines else "|" if newlines == 1 else "|+"
    return [sign, *body.split("\n"), *[""] * max(0, newlines - 1)]


def _string(text: str, *, key: bool = False) -> str:
    """A string, plain where YAML reads it back as this string."""
    import yaml

    plain = (
        bool(text)
        and text.isprintable()
        and text == text.strip()
        and text[0] not in "!&*-?:,[]{}#|>@`\"'%=~"
        and ": " not in text
        and " #" not in text
        and not text.endswith(":")
        and text.lower() not in ("y", "n", "null", "<<")
    )
    if plain or (
        text[:1] == "-" and text[1:2].isalpha() and ": " not in text and " #" not in text and text.isprintable()
    ):
        tag = _loader()("").resolve(yaml.ScalarNode, text, (True, False))
        if tag == "tag:yaml.org,2002:str" and not text.endswith((":", " ")):
            return text
    return quote(text)
