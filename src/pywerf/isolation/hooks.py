"""OCI hooks that are configured by files: `--hooks-dir`, in the formats of oci-hooks(5), 1.0.0 and 0.1.0.

A hook is a program that a runtime starts at a stage of a container's life (runtime-spec, config.md).
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any

import msgspec

from pywerf.errors import UsageError

__all__ = ["Conditions", "Hook", "injected", "parse_hook", "read_hooks"]

_STAGES = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
_CLASSES = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "blank": r"\t ",
    "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": r"!-/:-@\[-`{-~",
    "space": r"\t\n\v\f\r ",
    "upper": "A-Z",
    "xdigit": "0-9A-Fa-f",
}


class Conditions(msgspec.Struct, frozen=True):
    """When a hook is injected: all that are given must hold, with `any_of` one of them.

    `annotations` and `commands` are patterns, of keys and values, and of the first word of the command.
    """

    always: bool | None = None
    annotations: tuple[tuple[str, str], ...] = ()
    commands: tuple[str, ...] = ()
    bind_mounts: bool | None = None
    any_of: bool = False

    def hold(self, command: str, annotations: dict[str, str], *, bind_mounts: bool) -> bool:
        """Whether they hold for a container; none at all never do."""
        found: list[bool] = []
        if self.always is not None:
            found.append(self.always)
        if self.bind_mounts is not None:
            found.append(self.bind_mounts and bind_mounts)
        found += [
            any(_matches(key, one) and _matches(value, other) for one, other in annotations.items())
            for key, value in self.annotations
        ]
        if self.commands:
            found.append(any(_matches(pattern, command) for pattern in self.commands))
        return bool(found) and (any(found) if self.any_of else all(found))


class Hook(msgspec.Struct, frozen=True):
    """A hook of a file; `timeout` is in seconds, None: it has all the time."""

    path: str
    args: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    timeout: int | None = None
    stages: tuple[str, ...] = ()
    when: Conditions = Conditions()

    def to_json(self) -> dict[str, Any]:
        """As it stands in a bundle's config.json."""
        entry: dict[str, Any] = {"path": self.path}
        for key in ("args", "env"):
            if getattr(self, key):
                entry[key] = list(getattr(self, key))
        return entry if self.timeout is None else entry | {"timeout": self.timeout}


def injected(hooks: Sequence[Hook], command: str, *, bind_mounts: bool) -> dict[str, list[dict[str, Any]]]:
    """The hooks of a container by stage, as its config.json has them. Our containers have no annotations."""
    stages: dict[str, list[dict[str, Any]]] = {}
    for hook in hooks:
        if hook.when.hold(command, {}, bind_mounts=bind_mounts):
            for stage in hook.stages:
                stages.setdefault(stage, []).append(hook.to_json())
    return stages


def read_hooks(folders: Sequence[str]) -> tuple[Hook, ...]:
    """The hooks of all *.json files, in the order of their names; a file hides those of its name in earlier folders.

    Raises UsageError, which names the file.
    """
    files: dict[str, str] = {}
    for folder in folders:
        try:
            names = os.listdir(folder)
        except OSError as error:
            raise UsageError(f"--hooks-dir {folder}: {error.strerror}") from error
        files |= {name: f"{folder}/{name}" for name in names if name.endswith(".json")}
    return tuple([_read(files[name]) for name in sorted(files, key=lambda name: (name.lower(), name))])


def _read(path: str) -> Hook:
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise UsageError(f"--hooks-dir: {path}: {error.strerror}") from error
    try:
        hook = parse_hook(data)
    except ValueError as error:
        raise UsageError(f"--hooks-dir: {path}: {error}", hint="oci-hooks(5) tells what these files hold") from error
    if hook.stages != ("startContainer",) and not os.path.exists(hook.path):  # that one is in the container
        raise UsageError(f"--hooks-dir: {path}: {hook.path}: there is no such program")
    return hook


def parse_hook(data: bytes) -> Hook:
    """Read a file's content. Raises ValueError."""
    try:
        document = msgspec.json.decode(data)
    except msgspec.DecodeError as error:
        raise ValueError(f"no JSON: {error}") from error
    if not isinstance(document, dict):
        raise ValueError("an object is expected")
    version = document.get("version", "0.1.0")
    if version not in ("0.1.0", "1.0.0"):
        raise ValueError(f"version {version!r} is unknown: it is 1.0.0, or 0.1.0")
    try:
        hook = msgspec.convert(document, _Current).hook() if version == "1.0.0" else _old(document)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from error
    if not hook.path.startswith("/"):
        raise ValueError(f"the path of a hook is absolute, not {hook.path!r}")
    if not hook.stages:
        raise ValueError("no stages")
    for stage in hook.stages:
        if stage not in _STAGES:
            raise ValueError(f"unknown stage {stage!r}: it is one of {', '.join(_STAGES)}")
    for pattern in (*hook.when.commands, *(word for pair in hook.when.annotations for word in pair)):
        _matches(pattern, "")
    return hook


class _Program(msgspec.Struct):
    path: str
    args: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    timeout: int | None = None


class _When(msgspec.Struct, rename="camel"):
    always: bool | None = None
    annotations: dict[str, str] = {}
    commands: tuple[str, ...] = ()
    has_bind_mounts: bool | None = None


class _Current(msgspec.Struct):
    """The format 1.0.0."""

    program: _Program = msgspec.field(name="hook")
    when: _When
    stages: tuple[str, ...]

    def hook(self) -> Hook:
        when, program = self.when, self.program
        conditions = Conditions(when.always, tuple(when.annotations.items()), when.commands, when.has_bind_mounts)
        return Hook(program.path, program.args, program.env, program.timeout, self.stages, conditions)


class _Old(msgspec.Struct):
    """The format 0.1.0, whose lists have two names each."""

    hook: str
    arguments: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()
    stage: tuple[str, ...] = ()
    cmds: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    annotations: tuple[str, ...] = ()
    annotation: tuple[str, ...] = ()
    hasbindmounts: bool | None = None


def _old(document: dict[str, Any]) -> Hook:
    old = msgspec.convert(document, _Old)
    for one, other in (("stages", "stage"), ("cmds", "cmd"), ("annotations", "annotation")):
        if one in document and other in document:
            raise ValueError(f"{one} and {other} are the same: one of them must go")
    conditions = Conditions(
        annotations=tuple([(".*", value) for value in (*old.annotations, *old.annotation)]),
        commands=(*old.cmds, *old.cmd),
        bind_mounts=old.hasbindmounts,
        any_of=True,
    )
    args = (old.hook, *old.arguments)
    return Hook(old.hook, args, stages=(*old.stages, *old.stage), when=conditions)


def _matches(pattern: str, text: str) -> bool:
    """Whether a POSIX extended regular expression matches somewhere in a text. Raises ValueError if it is none."""
    python = re.sub(r"\[:(\w+):\]", lambda found: _CLASSES.get(found[1], found[0]), pattern)
    try:
        return re.search(python, text) is not None
    except (re.error, RecursionError) as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}") from error
