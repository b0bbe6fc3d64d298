"""Reading JSON documents of other people: every field is checked, every complaint names its path.

And decoders for those of our own, whose types are Structs.
"""

from __future__ import annotations

import json
import threading
from typing import Any, TypeVar

import msgspec

from pywerf.errors import InvalidDocument

__all__ = ["Fields", "encode", "json_decoder", "load_object"]

T = TypeVar("T")

_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}
_making = threading.Lock()


class Fields:
    """A JSON object with checked access. `where` is its path in the document, for messages."""

    __slots__ = ("value", "where")

    def __init__(self, value: object, where: str) -> None:
        if not isinstance(value, dict):
            raise InvalidDocument(f"{where}: expected an object, got {_kind(value)}")
        self.value: dict[str, Any] = value
        self.where = where

    def get(self, key: str, kind: type[T], default: T) -> T:
        """The field, or `default` when it is missing or null; InvalidDocument when of another type."""
        value = self.value.get(key)
        if value is None:
            return default
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise InvalidDocument(f"{self.where}.{key}: expected {kind.__name__}, got {_kind(value)}")
        return value

    def need(self, key: str, kind: type[T]) -> T:
        """The field; InvalidDocument when it is missing, null or of another type."""
        value = self.value.get(key)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise InvalidDocument(f"{self.where}.{key}: expected {kind.__name__}, got {_kind(value)}")
        return value

    def strings(self, key: str) -> tuple[str, ...] | None:
        """A list of strings, or None when it is missing or null."""
        items = self.value.get(key)
        if items is None:
            return None
        if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
            raise InvalidDocument(f"{self.where}.{key}: expected a list of strings")
        return tuple(items)

    def string_map(self, key: str) -> dict[str, str]:
        """An object of strings; {} when it is missing or null."""
        items = self.get(key, dict, {})
        if not all(isinstance(item, str) for item in items.values()):
            raise InvalidDocument(f"{self.where}.{key}: expected an object of strings")
        return dict(items)

    def keys(self, key: str) -> tuple[str, ...]:
        """The keys of an object that stands for a set, in sorted order; () when missing or null."""
        return tuple(sorted(self.get(key, dict, {})))

    def objects(self, key: str) -> list[Fields]:
        """A list of objects; [] when it is missing or null."""
        items = self.get(key, list, [])
        return [Fields(item, f"{self.where}.{key}[{n}]") for n, item in enumerate(items)]

    def object(self, key: str) -> Fields | None:
        """An object, or None when it is missing or null."""
        value = self.value.get(key)
        return None if value is None else Fields(value, f"{self.where}.{key}")


def load_object(data: bytes, what: str) -> Fields:
    """Decode a JSON object; `what` names it in messages."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InvalidDocument(f"{what} is not valid JSON: {error}") from error
    return Fields(value, what)


def encode(value: object) -> bytes:
    """Compact JSON in UTF-8; the order of keys is the order of the mappings given.

    Half a surrogate pair, which no UTF-8 can hold, becomes U+FFFD (as with Go's encoding/json).
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()


def _kind(value: object) -> str:
    names = {type(None): "nothing", dict: "an object", list: "a list", str: "a string", bool: "a boolean"}
    return names.get(type(value), "a number")


def json_decoder(kind: type[T]) -> msgspec.json.Decoder[T]:
    """The decoder for values of a type, a Struct mostly; one for all callers, which may be several threads.

    msgspec reads the fields of a Struct when it is decoded for the first time, lets other threads run meanwhile, and
    shows them what it has so far: they crash (seen with 0.22). So that is done under a lock.
    """
    found = _decoders.get(kind)
    if found is None:
        with _making:
            found = _decoders.get(kind)
            if found is None:
                found = _decoders[kind] = msgspec.json.Decoder(kind)
    return found
