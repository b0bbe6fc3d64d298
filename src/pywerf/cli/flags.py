"""Flags on top of click that behave as Go's pflag, which buildah's users know, and as werf's variables.

- a boolean is `--flag`, `--flag=true` or `--flag=false`; a flag with an optional value never takes the next word;
- `-f=x`, `-fx` and `-f x` are the same;
- every flag has the variable `WERF_<FLAG>`; a repeatable one takes every `WERF_<FLAG>_*` too, sorted
  by name, before its own values.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from pywerf.errors import UsageError, WerfError

__all__ = ["BOOL", "Command", "Flag", "GoBool", "Size", "flag", "switch"]

F = TypeVar("F", bound=Callable[..., Any])

if TYPE_CHECKING:
    BoolType = click.ParamType[bool]
    IntType = click.ParamType[int]
else:  # generic for type checkers only: older clicks are not at run time
    BoolType = IntType = click.ParamType

_TRUE = frozenset(("1", "t", "true", "y", "yes", "on"))
_FALSE = frozenset(("0", "f", "false", "n", "no", "off"))


class GoBool(BoolType):
    """1/true/yes and 0/false/no, in any case."""

    name = "boolean"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> bool:
        if isinstance(value, bool):
            return value
        word = str(value).strip().lower()
        if word in _TRUE or word in _FALSE:
            return word in _TRUE
        self.fail(f"{value!r} is neither true nor false", param, ctx)


class Size(IntType):
    """A size in bytes, with a unit of b, k, m, g or t (powers of 1024), as docker and buildah read it."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        text = str(value).strip().lower()
        digits = text.rstrip("bikmgt")
        unit = text[len(digits) :].replace("ib", "").rstrip("b") or "b"
        if not digits.isdecimal() or unit not in ("b", "k", "m", "g", "t"):
            self.fail(f"{value!r} is not a size; write a number and a unit of b, k, m or g", param, ctx)
        return int(digits) << {"b": 0, "k": 10, "m": 20, "g": 30, "t": 40}[unit]


BOOL = GoBool()


class Flag(click.Option):
    """An option with its variable.

    `bare` is the value when the flag stands without one (None: it needs a value). `env` are more
    variables, looked at after its own. `own_scalar` false: only `WERF_<FLAG>_*`, since `WERF_<FLAG>`
    means something else. `not_env` are variables that only look like the flag's. `split`: a value
    may hold several, separated by commas.
    """

    def __init__(
        self,
        declarations: Sequence[str],
        *,
        bare: str | None = None,
        env: Sequence[str] = (),
        own_scalar: bool = True,
        not_env: Sequence[str] = (),
        split: bool = False,
        **attrs: Any,
    ) -> None:
        super().__init__(list(declarations), **attrs)
        self.bare = bare
        self.extra_env = tuple(env)
        self.own_scalar = own_scalar
        self.not_env = tuple(not_env)
        self.split = split

    @property
    def long_name(self) -> str:
        """The first long form, without dashes."""
        return next((name for name in self.opts if name.startswith("--")), self.opts[0]).lstrip("-")

    @property
    def env_name(self) -> str:
        """`WERF_SOME_NAME` for `--some-name`."""
        return "WERF_" + self.long_name.replace("-", "_").upper()

    def value_from_envvar(self, ctx: click.Context) -> Any:
        """The value from the variables; None when there is none. An empty variable is as good as unset."""
        if self.multiple:
            return self._many_from_env(ctx) or None
        names = (self.env_name, *self.extra_env) if self.own_scalar else self.extra_env
        return next((value for name in names if (value := os.environ.get(name))), None)

    def consume_value(self, ctx: click.Context, opts: Any) -> Any:
        value, source = super().consume_value(ctx, opts)
        if self.multiple and source is ParameterSource.COMMANDLINE:
            value = [*self._many_from_env(ctx), *value]
        if self.multiple and self.split and source in (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT):
            value = [part for item in value for part in str(item).split(",") if part]
        return value, source

    def _many_from_env(self, ctx: click.Context) -> list[str]:
        values = [os.environ.get(name, "") for name in (self.env_name, *self.extra_env)] if self.own_scalar else []
        prefix = self.env_name + "_"
        mine = [name for name in os.environ if name.startswith(prefix)]
        if not mine:
            return [value for value in values if value]
        others = [
            param.env_name
            for param in ctx.command.params
            if isinstance(param, Flag) and param is not self and param.env_name.startswith(prefix)
        ]
        others.extend(self.not_env)
        for name in sorted(mine):
            if not any(name == other or name.startswith(other + "_") for other in others):
                values.append(os.environ[name])
        return [value for value in values if value]

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        record = super().get_help_record(ctx)
        return None if record is None else (record[0].rstrip(), record[1])


def flag(*declarations: str, **attrs: Any) -> Callable[[F], F]:
    """A flag with a value. Without a default it is "" (or () when it is `multiple`)."""
    if not attrs.get("multiple"):
        attrs.setdefault("default", "")
    return _option(declarations, attrs)


def switch(*declarations: str, **attrs: Any) -> Callable[[F], F]:
    """A boolean flag, false by default."""
    attrs.setdefault("default", False)
    return _option(declarations, {"bare": "true", "type": BOOL, "metavar": "", **attrs})


def _option(declarations: Sequence[str], attrs: dict[str, Any]) -> Callable[[F], F]:
    def add(function: F) -> F:
        # click.option() wants the declarations one by one; Flag takes them as a list like click.Option.
        params = function.__dict__.setdefault("__click_params__", [])
        params.append(Flag(declarations, **attrs))
        return function

    return add


class Command(click.Command):
    """A command that reads its flags as pflag does, and knows which flags of buildah it has not.

    `unsupported` are flags (`--name`) of the tool that is stood in for, which are refused with a
    message of their own. `usage_line` is what follows the command's name in its help.
    """

    def __init__(self, *args: Any, unsupported: Collection[str] = (), usage_line: str = "", **attrs: Any) -> None:
        attrs.setdefault("context_settings", {})
        attrs["context_settings"].setdefault("help_option_names", ["-h", "--help"])
        attrs["context_settings"].setdefault("max_content_width", 110)
        super().__init__(*args, **attrs)
        self.unsupported = frozenset(unsupported)
        self.usage_line = usage_line

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return [self.options_metavar or "", self.usage_line] if self.usage_line else super().collect_usage_pieces(ctx)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, expand_flags(self, ctx, args))


def expand_flags(command: click.Command, ctx: click.Context, args: Sequence[str]) -> list[str]:
    """`args` with short flags taken apart and every optional value written out (`-it` -> `--interactive=true …`)."""
    names = {name: param for param in command.get_params(ctx) for name in (*param.opts, *param.secondary_opts)}
    out: list[str] = []
    words = list(args)
    while words:
        word = words.pop(0)
        if word == "--":
            return [*out, word, *words]
        if word.startswith("--"):
            name, equals, _ = word.partition("=")
            param = names.get(name)
            if param is None:
                _unknown(command, name, names)
            elif isinstance(param, Flag) and param.bare is not None:
                out.append(word if equals else f"{name}={param.bare}")
            else:
                out.append(word)
                if isinstance(param, Flag) and not equals and words:
                    out.append(words.pop(0))
        elif word.startswith("-") and len(word) > 1:
            out.extend(_short_flags(command, word, words, names))
        else:
            out.append(word)
            if not ctx.allow_interspersed_args:
                return [*out, *words]
    return out


def _short_flags(command: click.Command, word: str, words: list[str], names: dict[str, click.Parameter]) -> list[str]:
    out: list[str] = []
    rest = word[1:]
    while rest:
        name, rest = "-" + rest[0], rest[1:]
        param = names.get(name)
        if param is None:
            _unknown(command, name, names, word)
        if not isinstance(param, Flag):
            out.append(name)
        elif param.bare is not None:
            value = param.bare
            if rest.startswith("="):
                value, rest = rest[1:], ""
            out.append(f"--{param.long_name}={value}")
        else:
            if not rest and not words:
                raise UsageError(f"flag needs an argument: {name}")
            # by its long name: click looks for a short one only after it has made an error of a long one
            long = next((known for known in param.opts if known.startswith("--")), name)
            out.extend((long, rest.removeprefix("=") if rest else words.pop(0)))
            break
    return out


def _unknown(command: click.Command, name: str, names: dict[str, click.Parameter], word: str = "") -> None:
    if isinstance(command, Command) and name in command.unsupported:
        raise UsageError(
            f"{name} is a flag of buildah that pywerf does not support",
            hint="leave it out; it would change the result, so it is not ignored",
        )
    shown = f"unknown flag: {name}" if name.startswith("--") else f"unknown shorthand flag: {name} in {word}"
    raise UsageError(shown, hint=_suggestion(name, [known for known in names if known.startswith("--")]))


def _suggestion(name: str, known: Sequence[str]) -> str | None:
    from difflib import get_close_matches

    if not name.startswith("--"):
        return None
    found = get_close_matches(name, known, 1, 0.7)
    return f"did you mean {found[0]}?" if found else None


def bad_value(name: str, value: str, why: str, hint: str | None = None) -> WerfError:
    """A UsageError that shows the flag and the value as they were written."""
    return UsageError(f"{name} {value}: {why}" if value else f"{name}: {why}", hint=hint)
