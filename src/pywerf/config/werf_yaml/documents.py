"""Cuts a rendered file into YAML documents and reads them node by node, so that every error knows its line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from pywerf.errors import ConfigError, SourceExcerpt

__all__ = ["ANY", "Document", "Schema", "Section", "read_documents"]

Schema = Mapping[str, Any]
"""The keys that a mapping may have: ANY for a leaf, a Schema for a mapping, [Schema] for a list of mappings."""

ANY: Any = None

_MAX_DEPTH = 50
_LONGEST = 200  # characters of a line that a message shows
_KINDS = {"scalar": "a single value", "sequence": "a list", "mapping": "a map"}


class Document:
    """One document of a file: `root` is its top node, `first` its first line in the file (from 1)."""

    __slots__ = ("file", "first", "lines", "root", "text")

    def __init__(self, file: str, text: str, first: int, lines: list[str]) -> None:
        self.file = file
        self.text = text
        self.first = first
        self.lines = lines  # of the whole file
        self.root: Any = None

    def excerpt(self, start: int, stop: int | None = None, column: int | None = None, width: int = 1) -> SourceExcerpt:
        """The lines from `start` to `stop` (from 0 in this document), at most ten."""
        last = min(start if stop is None else max(start, stop), start + 9)
        first = self.first + start
        lines = tuple(line[:_LONGEST] for line in self.lines[first - 1 : self.first + last])
        if column is not None and column >= _LONGEST:
            column = None
        return SourceExcerpt(self.file, first, first + max(0, len(lines) - 1), lines, column, width)

    def place(self, node: Any) -> SourceExcerpt:
        """The line of a node, with a caret under it."""
        start, end = node.start_mark, node.end_mark
        width = end.column - start.column if end.line == start.line else 1
        return self.excerpt(start.line, None, start.column, max(1, width))

    def line_of(self, node: Any) -> int:
        """The line of a node in the file."""
        return self.first + int(node.start_mark.line)


def read_documents(text: str, file: str) -> list[Document]:
    """The documents of a file that have content. Raises ConfigError for what is not YAML."""
    lines = text.split("\n")
    found: list[Document] = []
    for first, last in _cut(lines):
        part = "\n".join(lines[first:last])
        if all(not line.strip() or line.lstrip().startswith("#") for line in lines[first:last]):
            continue
        document = Document(file, part, first + 1, lines)
        document.root = _compose(document)
        if document.root is not None:
            found.append(document)
    return found


def _cut(lines: list[str]) -> Iterator[tuple[int, int]]:
    """(first line, line after the last) of each piece between lines of three hyphens."""
    start = 0
    for number, line in enumerate(lines):
        if line.startswith("---"):
            rest = line[3:].rstrip()
            if not rest or (rest[0] in " \t" and rest.lstrip().startswith("#")):
                yield start, number
                start = number + 1
    yield start, len(lines)


def _compose(document: Document) -> Any:
    import yaml

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return yaml.compose(document.text, Loader=loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        why = ", ".join(part for part in (error.context, error.problem) if part)
        source = None if mark is None else document.excerpt(mark.line, None, mark.column)
        raise ConfigError(f"not YAML: {why}", source=source) from error
    except yaml.YAMLError as error:
        position = getattr(error, "position", 0)
        line = document.text.count("\n", 0, position if isinstance(position, int) else 0)
        raise ConfigError("not YAML: a character that YAML does not allow", source=document.excerpt(line)) from error
    except RecursionError:
        raise ConfigError("not YAML that can be read: too many levels", source=document.excerpt(0)) from None


class Section:
    """A mapping of the document. `path` names it in messages: `image "app": git[0]`."""

    __slots__ = ("document", "entries", "node", "path")

    def __init__(self, document: Document, node: Any, path: str = "") -> None:
        self.document = document
        self.node = node
        self.path = path
        if node.id != "mapping":
            self.fail_at(node, f"{path or 'the document'}: a map is expected, not {_KINDS[node.id]}")
        self.entries: dict[str, tuple[Any, Any]] = dict(self._entries(node, set()))

    @property
    def line(self) -> int:
        """The line of the section in the file."""
        return self.document.line_of(self.node)

    def _entries(self, node: Any, merging: set[int]) -> Iterator[tuple[str, tuple[Any, Any]]]:
        """The keys of a mapping; those that `<<` merges in come first, so that its own ones win."""
        if id(node) in merging or len(merging) > _MAX_DEPTH:
            self.fail_at(node, "a map that merges itself in")
        seen: set[str] = set()
        own: list[tuple[str, tuple[Any, Any]]] = []
        for key, value in node.value:
            if key.id != "scalar":
                self.fail_at(key, "a key must be a single value")
            if key.tag == "tag:yaml.org,2002:merge":
                sources = value.value if value.id == "sequence" else [value]
                for source in reversed(sources):
                    if source.id != "mapping":
                        self.fail_at(source, "only maps can be merged in with <<")
                    yield from self._entries(source, merging | {id(node)})
                continue
            if key.value in seen:
                self.fail_at(key, f"the key {self._at(key.value)} is there twice")
            seen.add(key.value)
            own.append((key.value, (key, value)))
        yield from own

    def _at(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key

    # complaints

    def fail_at(self, node: Any, why: str, hint: str | None = None) -> NoReturn:
        """Raise the error at a node."""
        raise ConfigError(why, hint=hint, source=self.document.place(node))

    def fail(self, key: str, why: str, hint: str | None = None) -> NoReturn:
        """Raise an error about a key (at the section itself when it is not there)."""
        entry = self.entries.get(key)
        place = self.document.place(entry[0] if entry else self.node)
        raise ConfigError(f"{self._at(key)}: {why}", hint=hint, source=place)

    def check_keys(self, schema: Schema, more: Mapping[str, str] | None = None) -> None:
        """Raise ConfigError for keys that nobody knows, all of them at once. `more`: hints for some of them."""
        unknown = list(self._unknown(self.node, schema, self.path, 0))
        if not unknown:
            return
        node, key, where, known = unknown[0]
        if len(unknown) == 1:
            hint = (more or {}).get(key) or f"known here are {', '.join(sorted(known))}"
            suggestion = _nearest(key, known)
            self.fail_at(node, f"unknown key {where}" + (f" (did you mean {suggestion}?)" if suggestion else ""), hint)
        parts = []
        for node_, key_, where_, known_ in unknown:
            suggestion = _nearest(key_, known_)
            note = f"; did you mean {suggestion}?" if suggestion else ""
            parts.append(f"{where_} (line {self.document.line_of(node_)}{note})")
        self.fail_at(node, "unknown keys: " + ", ".join(parts))

    def unknown_keys(self, schema: Schema) -> Iterator[str]:
        """What a warning says of each key that nobody knows: `FILE:LINE: unknown key … (did you mean …?)`."""
        for node, key, where, known in self._unknown(self.node, schema, self.path, 0):
            suggestion = _nearest(key, known) or " or ".join(_places(key, schema))
            note = f" (did you mean {suggestion}?)" if suggestion else ""
            yield f"{self.document.file}:{self.document.line_of(node)}: unknown key {where}{note}"

    def _unknown(self, node: Any, schema: Schema, path: str, depth: int) -> Iterator[tuple[Any, str, str, Schema]]:
        if depth > _MAX_DEPTH:
            self.fail_at(node, "too many levels")
        for key, (key_node, value) in Section(self.document, node, path).entries.items():
            where = f"{path}.{key}" if path else key
            if key not in schema:
                yield key_node, key, where, schema
                continue
            inner = schema[key]
            if isinstance(inner, Mapping) and value.id == "mapping":
                yield from self._unknown(value, inner, where, depth + 1)
            elif isinstance(inner, list) and value.id == "sequence":
                for index, item in enumerate(value.value):
                    if item.id == "mapping":
                        yield from self._unknown(item, inner[0], f"{where}[{index}]", depth + 1)

    # values

    def has(self, key: str) -> bool:
        """Whether the key is there with a value that is not null."""
        return self._value(key) is not None

    def _value(self, key: str) -> Any | None:
        entry = self.entries.get(key)
        if entry is None or (entry[1].id == "scalar" and entry[1].tag == "tag:yaml.org,2002:null"):
            return None
        return entry[1]

    def text(self, key: str, default: str = "") -> str:
        """A single value as it is written: numbers and booleans count as text."""
        value = self._value(key)
        if value is None:
            return default
        if value.id != "scalar":
            self.fail(key, f"a string is expected, not {_KINDS[value.id]}")
        return str(value.value)

    def optional_text(self, key: str) -> str | None:
        """A single value, or None."""
        return self.text(key) if self.has(key) else None

    def required(self, key: str, hint: str | None = None) -> str:
        """A single value that must not be missing or empty."""
        value = self.text(key)
        if not value:
            place = self.document.place(self.entries[key][0] if key in self.entries else self.node)
            what = "must not be empty" if key in self.entries else "is required"
            raise ConfigError(f"{self._at(key)} {what}", hint=hint, source=place)
        return value

    def flag(self, key: str, default: bool = False) -> bool:
        """A boolean."""
        value = self._value(key)
        if value is None:
            return default
        if value.id != "scalar" or value.tag != "tag:yaml.org,2002:bool":
            self.fail(key, "true or false is expected")
        return value.value.lower() in ("true", "yes", "on")

    def number(self, key: str, default: int, *, least: int | None = None) -> int:
        """A whole number."""
        value = self._value(key)
        if value is None:
            return default
        try:
            found = int(value.value.replace("_", ""), 10) if value.id == "scalar" else None
        except ValueError:
            found = None
        if found is None or (least is not None and found < least):
            self.fail(key, "a whole number is expected" + (f", {least} or more" if least is not None else ""))
        return found

    def strings(self, key: str) -> tuple[str, ...]:
        """A string or a list of strings: what the manual calls a list."""
        value = self._value(key)
        if value is None:
            return ()
        if value.id == "scalar":
            return (str(value.value),)
        if value.id != "sequence" or any(item.id != "scalar" or _is_null(item) for item in value.value):
            self.fail(key, "single string or array of strings expected")
        return tuple(str(item.value) for item in value.value)

    def optional_strings(self, key: str) -> tuple[str, ...] | None:
        """A list, or None when the key is not there."""
        return self.strings(key) if self.has(key) else None

    def pairs(self, key: str) -> tuple[tuple[str, str], ...]:
        """A map of single values, in its order."""
        value = self._value(key)
        if value is None:
            return ()
        inner = Section(self.document, value, self._at(key))
        return tuple((name, inner.text(name)) for name in inner.entries)

    def section(self, key: str) -> Section | None:
        """A map, or None."""
        value = self._value(key)
        return None if value is None else Section(self.document, value, self._at(key))

    def sections(self, key: str) -> list[Section]:
        """A list of maps."""
        value = self._value(key)
        if value is None:
            return []
        if value.id != "sequence":
            self.fail(key, f"a list is expected, not {_KINDS[value.id]}")
        return [Section(self.document, item, f"{self._at(key)}[{index}]") for index, item in enumerate(value.value)]

    def exactly_one(self, *keys: str) -> str:
        """The one of `keys` that is given."""
        given = [key for key in keys if self.has(key)]
        if len(given) != 1:
            choice = " or ".join(keys) if len(keys) == 2 else ", ".join(keys[:-1]) + f" or {keys[-1]}"
            self.fail_at(
                self.node,
                f"{self.path}: exactly one of {choice} is needed" + (f", not {' and '.join(given)}" if given else ""),
            )
        return given[0]


def _is_null(node: Any) -> bool:
    return bool(node.tag == "tag:yaml.org,2002:null")


def _nearest(word: str, known: Schema) -> str:
    from difflib import get_close_matches

    folded = {name.lower(): name for name in known}
    found = get_close_matches(word.lower(), folded, 1, 0.7)
    return folded[found[0]] if found else ""


def _places(word: str, schema: Schema, path: str = "") -> Iterator[str]:
    """Where else in a schema there is a key of that name."""
    for key, inner in schema.items():
        if key == word:
            yield path + key
        if isinstance(inner, Mapping):
            yield from _places(word, inner, f"{path}{key}.")
