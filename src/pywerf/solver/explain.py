"""Tells why a step was not in the cache: what differs between what its key was made of and an earlier record.

Pure: compares two documents of components (see `facts_of` and the engine's components) and two lists of files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec

from pywerf.solver.facts import SECRET

__all__ = ["Change", "FileEntry", "differences", "instruction_of", "summary"]

ChangeKind = Literal["file", "ARG", "ENV", "instruction", "option", "inline", "parent", "source"]

_TEXT = ("command", "sources", "destination")  # what of an op stands in the text of its instruction


class FileEntry(msgspec.Struct, frozen=True):
    """What is known of one file of a step: `content` is `sha256:…` (its beginning), the target of a link, or empty."""

    kind: str
    mode: int
    owner: str
    content: str


class Change(msgspec.Struct, frozen=True, omit_defaults=True):
    """One difference. `what` is a path, the name of a variable, an option, or a step; `old` empty: it is new,

    `new` empty: it is gone. Values that are not to be shown are empty in both, and `hidden` says so.
    """

    kind: ChangeKind
    what: str
    old: str = ""
    new: str = ""
    hidden: bool = False

    def __str__(self) -> str:
        return _PHRASES[self.kind](self)


Files = Callable[[str], "Mapping[str, FileEntry] | None"]


def differences(old: Mapping[str, Any], new: Mapping[str, Any], files: Files) -> list[Change]:
    """What differs between the components of two records, what the user has written first, the parent last.

    `files` gives the files behind a component that is their digest, None where no list is kept.
    """
    found = _op_changes(old, new)
    if old.get("salt", "") != new.get("salt", ""):
        found.append(Change("option", "--timestamp", _stamp(old), _stamp(new)))
    for name in sorted({*old, *new} - {"name", "on", "op", "salt", "parent"}):
        if old.get(name) != new.get(name):
            found += _file_changes(name, old.get(name, ""), new.get(name, ""), files)
    if old.get("parent") != new.get("parent"):
        was, now = old.get("on", ""), new.get("on", "")
        found.append(Change("parent", instruction_of(now) or "scratch", _short(old, "parent"), _short(new, "parent")))
        if instruction_of(was) != instruction_of(now):
            found[-1] = msgspec.structs.replace(found[-1], old=instruction_of(was) or "scratch", new=found[-1].what)
    return found


def summary(changes: list[Change], most: int = 3) -> str:
    """The first changes in one line."""
    shown = ", ".join(str(change) for change in changes[:most])
    left = len(changes) - most
    return f"{shown} and {left} more" if left > 0 else shown


def instruction_of(name: str) -> str:
    """The instruction in the name of a step: `[stage-1 2/5] RUN make` -> `RUN make`; of a source what it loads."""
    head, bracket, rest = name.partition("] ")
    if not bracket or not head.startswith("["):
        return name
    return rest.removeprefix("load ") if head == "[internal" else rest


def _op_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Change]:
    before, now = old.get("op"), new.get("op")
    if not isinstance(before, dict) or not isinstance(now, dict) or before == now:
        return []
    found: list[Change] = []
    if any(before.get(name) != now.get(name) for name in _TEXT) or before.keys() & {"command"} != now.keys() & {
        "command"
    }:
        texts = instruction_of(old.get("name", "")), instruction_of(new.get("name", ""))
        if texts[0] == texts[1]:  # the text is the same, but not what its variables stand for
            texts = _text(before), _text(now)
        found.append(Change("instruction", texts[1], *texts))
    args = {*before.get("args", ()), *now.get("args", ())}
    env = before.get("env", {}), now.get("env", {})
    for name in sorted({*env[0], *env[1]}):
        values = env[0].get(name), env[1].get(name)
        if values[0] != values[1]:
            found.append(_variable("ARG" if name in args else "ENV", name, *values))
    inline = before.get("inline", {}), now.get("inline", {})
    for name in sorted({*inline[0], *inline[1]}):
        if inline[0].get(name) != inline[1].get(name):
            found.append(Change("inline", name, inline[0].get(name, "")[:19], inline[1].get(name, "")[:19]))
    for name in sorted({*before, *now} - {*_TEXT, "args", "env", "inline"}):
        if before.get(name) != now.get(name):
            found.append(Change("option", name, _joined(before.get(name, "")), _joined(now.get(name, ""))))
    return found


def _variable(kind: Literal["ARG", "ENV"], name: str, old: str | None, new: str | None) -> Change:
    if (old or "").startswith(SECRET) or (new or "").startswith(SECRET):
        return Change(kind, name, hidden=True)
    # An empty value is shown as quotes, so that it differs from none at all.
    return Change(kind, name, "" if old is None else old or '""', "" if new is None else new or '""')


def _file_changes(component: str, old: str, new: str, files: Files) -> list[Change]:
    lists = files(old), files(new)
    what = component.removeprefix("mount ") if component.startswith("mount ") else "files"
    if lists[0] is None or lists[1] is None:
        return [Change("source", what, old[:19], new[:19])]
    found = []
    for path in sorted({*lists[0], *lists[1]}):
        entries = lists[0].get(path), lists[1].get(path)
        if entries[0] != entries[1]:
            found.append(_file_change(path, *entries))
    return found or [Change("source", what, old[:19], new[:19])]


def _file_change(path: str, old: FileEntry | None, new: FileEntry | None) -> Change:
    if old is None or new is None:
        return Change("file", path, _described(old), _described(new))
    if old.kind != new.kind:
        return Change("file", path, old.kind, new.kind)
    if old.content != new.content:
        return Change("file", path, old.content, new.content)
    if old.mode != new.mode:
        return Change("file", path, f"mode {old.mode:o}", f"mode {new.mode:o}")
    return Change("file", path, f"owner {old.owner}", f"owner {new.owner}")


def _described(entry: FileEntry | None) -> str:
    return "" if entry is None else entry.content or entry.kind


def _text(op: Mapping[str, Any]) -> str:
    if "command" in op:
        return f"RUN {op['command']}"
    return " ".join((*op.get("sources", ()), op.get("destination", "")))


def _joined(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _stamp(components: Mapping[str, Any]) -> str:
    return str(components.get("salt", "")).removeprefix("clamp ")


def _short(components: Mapping[str, Any], name: str) -> str:
    return str(components.get(name, ""))[:19]


def _file(change: Change) -> str:
    if not change.old:
        return f"{change.what} is new"
    if not change.new:
        return f"{change.what} is gone"
    if change.old.startswith(("mode ", "owner ")):
        return f"{change.what}: {change.old} -> {change.new.partition(' ')[2]}"
    return f"{change.what} changed"


def _valued(prefix: str, change: Change) -> str:
    if change.hidden:
        return f"{prefix}{change.what} changed"
    if not change.old:
        return f"{prefix}{change.what}={change.new} is new"
    if not change.new:
        return f"{prefix}{change.what} is gone"
    return f"{prefix}{change.what} {change.old} -> {change.new}"


def _parent(change: Change) -> str:
    if change.new == change.what:
        return f"it follows {change.what} instead of {change.old}"
    return f"it follows {change.what}, which changed"


_PHRASES: dict[str, Callable[[Change], str]] = {
    "file": _file,
    "ARG": lambda change: _valued("ARG ", change),
    "ENV": lambda change: _valued("ENV ", change),
    "option": lambda change: _valued("", change),
    "instruction": lambda change: f"the instruction was {change.old}",
    "inline": lambda change: f"the text of {change.what} changed",
    "parent": _parent,
    "source": lambda change: f"{change.what} changed",
}
