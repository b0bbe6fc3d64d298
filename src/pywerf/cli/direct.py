"""Reads a command line by its declarations, without click: the short way to a command.

Only what is right is read here. Whatever is not (an unknown flag, a value that is none, `--help`), and every command
that is not declared, is left to click, which says what is wrong and how it should be.
"""

from __future__ import annotations

from pywerf.cli.declare import Argument, Declared, DeclaredGroup, FlagSpec, Kind, load_command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from pywerf.cli.invocation import Invocation

__all__ = ["Irregular", "Values", "read", "read_values"]


class Irregular(Exception):
    """Something that click has to look at."""


class Values:
    """What a command line and the variables say: values by parameter, those of shared flags apart."""

    def __init__(self) -> None:
        self.own: dict[str, Any] = {}
        self.shared: list[tuple[str, Any, bool]] = []  # name, value, whether it is from the command line
        self.rest: list[str] = []  # after the flags of a group

    def keep_shared(self, invocation: Invocation) -> None:
        """Tell the invocation what the shared flags say."""
        for name, value, given in self.shared:
            invocation.set(name, value, given=given)


def read(root: DeclaredGroup, args: Sequence[str], environ: Mapping[str, str]) -> Callable[[Invocation], int] | None:
    """What is to be done for a command line; None when click has to read it."""
    groups: list[tuple[DeclaredGroup, Values]] = []
    command: Any = root
    try:
        while isinstance(command, DeclaredGroup):
            values = read_values(command.params, args, environ, group=True)
            if not values.rest:
                return None
            groups.append((command, values))
            command, args = _load(command, values.rest[0]), values.rest[1:]
        if not isinstance(command, Declared):
            return None
        own = read_values(command.params, args, environ)
    except Irregular:
        return None
    if any("show_version" in values.own and values.own["show_version"] for _, values in groups):
        return None
    body = command.body

    def call(invocation: Invocation) -> int:
        for group, values in groups:
            values.keep_shared(invocation)
            group.body(invocation, **values.own)
        own.keep_shared(invocation)
        return body(invocation, **own.own)

    return call


def _load(group: DeclaredGroup, name: str) -> object:
    entry = group.table.get(group.aliases.get(name, name))
    if entry is None:
        raise Irregular
    return load_command(entry[0])


def read_values(
    params: Sequence[FlagSpec | Argument], args: Sequence[str], environ: Mapping[str, str], *, group: bool = False
) -> Values:
    """The values of `params`. `group`: the first word that is no flag ends them. Raises Irregular."""
    flags = [param for param in params if isinstance(param, FlagSpec)]
    given, words, rest = _split({name: spec for spec in flags for name in spec.names}, args, group)
    values = Values()
    values.rest = rest
    named = [name for name in environ if name.startswith("WERF_")]
    for spec in flags:
        texts = given.get(spec)
        found = spec.from_env(environ, flags) if spec.env or _may_have(spec, named) else None
        if texts is None:
            value = _value(spec, found)
            source = found is not None
        elif spec.multiple:
            value = _value(spec, [*(found or ()), *texts])
            source = True
        else:
            value = _value(spec, texts[-1])
            source = True
        if not spec.shared:
            values.own[spec.name] = value
        elif source:
            values.shared.append((spec.name, value, texts is not None))
    _fill([param for param in params if not isinstance(param, FlagSpec)], words, values)
    return values


def _may_have(spec: FlagSpec, named: Sequence[str]) -> bool:
    """Whether one of the variables WERF_* that there are may be the flag's; most often there is none at all."""
    if not named:
        return False
    name = spec.env_name
    return any(variable.startswith(name) for variable in named)


def _split(
    names: Mapping[str, FlagSpec], args: Sequence[str], group: bool
) -> tuple[dict[FlagSpec, list[str]], list[str], list[str]]:
    """The texts of the flags, the words that are no flags, and what follows the flags of a group."""
    given: dict[FlagSpec, list[str]] = {}
    words: list[str] = []
    left = list(reversed(args))
    while left:
        word = left.pop()
        if word == "--":
            raise Irregular
        if word.startswith("--"):
            name, equals, text = word.partition("=")
            spec = _known(names, name)
            if not equals:
                text = spec.bare if spec.bare is not None else _next(left)
            given.setdefault(spec, []).append(text)
        elif len(word) > 1 and word[0] == "-":
            _short(names, word[1:], left, given)
        elif group:
            return given, words, [word, *reversed(left)]
        else:
            words.append(word)
    return given, words, []


def _short(names: Mapping[str, FlagSpec], letters: str, left: list[str], given: dict[FlagSpec, list[str]]) -> None:
    """`-qfx`, `-f=x`, `-f x`, `-q=false`."""
    while letters:
        spec = _known(names, "-" + letters[0])
        letters = letters[1:]
        texts = given.setdefault(spec, [])
        if spec.bare is None:
            texts.append(letters.removeprefix("=") if letters else _next(left))
            return
        if letters.startswith("="):
            texts.append(letters[1:])
            return
        texts.append(spec.bare)


def _known(names: Mapping[str, FlagSpec], name: str) -> FlagSpec:
    spec = names.get(name)
    if spec is None:
        raise Irregular
    return spec


def _next(left: list[str]) -> str:
    if not left:
        raise Irregular
    return left.pop()


def _value(spec: FlagSpec, found: str | list[str] | None) -> Any:
    """The value of what the user gave, else the default."""
    if found is None:
        return () if spec.multiple else spec.default
    kind = spec.type
    if not isinstance(kind, Kind):
        raise Irregular
    try:
        if isinstance(found, str):
            return kind.read(found)
        if spec.split:
            found = [part for item in found for part in item.split(",") if part]
        return tuple(kind.read(text) for text in found)
    except ValueError:
        raise Irregular from None


def _fill(arguments: Sequence[Any], words: Sequence[str], values: Values) -> None:
    """Give the words that are no flags to the arguments."""
    last = arguments[-1] if arguments else None
    if isinstance(last, Argument) and last.many:
        arguments = arguments[:-1]
        values.own[last.name] = tuple(words[len(arguments) :])
        if last.required and not values.own[last.name]:
            raise Irregular
        words = words[: len(arguments)]
    if len(words) > len(arguments):
        raise Irregular
    for index, argument in enumerate(arguments):
        if not isinstance(argument, Argument) or (index >= len(words) and argument.default is None):
            raise Irregular
        values.own[argument.name] = words[index] if index < len(words) else argument.default
