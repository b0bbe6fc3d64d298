"""The file .gitmodules: where a repository says its submodules come from (gitmodules(5), git-config(1))."""

from __future__ import annotations

__all__ = ["read_modules"]

_ESCAPES = {"n": "\n", "t": "\t", "b": "\b", '"': '"', "\\": "\\"}


def read_modules(text: str) -> list[tuple[str, str]]:
    """(path, URL) of each submodule that has both, in the order of the file. What is not understood is skipped."""
    modules: dict[str, dict[str, str]] = {}
    current: dict[str, str] | None = None
    for line in _lines(text):
        stripped = line.strip()
        if stripped.startswith("["):
            header = stripped[1 : stripped.rfind("]")].strip()
            kind, _, name = header.partition(" ")
            current = modules.setdefault(name.strip(), {}) if kind.lower() == "submodule" else None
        elif current is not None and stripped and stripped[0] not in "#;":
            key, _, value = stripped.partition("=")
            current[key.strip().lower()] = _value(value)
    return [
        (_clean(module["path"]), module["url"]) for module in modules.values() if "path" in module and "url" in module
    ]


def _lines(text: str) -> list[str]:
    """The lines, with those that end in a backslash joined to the next."""
    lines: list[str] = []
    pending = ""
    for line in text.split("\n"):
        line = pending + line.removesuffix("\r")
        pending = ""
        if line.endswith("\\") and not line.endswith("\\\\"):
            pending = line[:-1]
        else:
            lines.append(line)
    if pending:
        lines.append(pending)
    return lines


def _value(text: str) -> str:
    """A value without comment, quotes and escapes."""
    out: list[str] = []
    quoted = False
    keep = 0  # how much of `out` is more than trailing blanks
    text = text.strip()
    index = 0
    while index < len(text):
        char = text[index]
        index += 1
        if char == '"':
            quoted = not quoted
            continue
        if char == "\\" and index < len(text):
            char = _ESCAPES.get(text[index], text[index])
            index += 1
        elif char in "#;" and not quoted:
            break
        out.append(char)
        if quoted or not char.isspace():
            keep = len(out)
    return "".join(out[:keep])


def _clean(path: str) -> str:
    return "/".join(part for part in path.split("/") if part not in ("", "."))
