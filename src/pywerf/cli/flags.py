"""The declared commands as click's, with flags that behave as Go's pflag, which buildah's users know.

- a boolean is `--flag`, `--flag=true` or `--flag=false`; a flag with an optional value never takes the next word;
- `-f=x`, `-fx` and `-f x` are the same;
- every flag has the variable `WERF_<FLAG>`; a repeatable one takes every `WERF_<FLAG>_*` too, sorted
  by name, before its own values.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from pywerf.cli import declare
from pywerf.cli.declare import BOOL, Declared, FlagSpec, Size, flag, switch
from pywerf.cli.invocation import invocation
from pywerf.cli.values import bad_value
from pywerf.errors import UsageError

__all__ = [
    "BOOL",
    "Command",
    "Flag",
    "Size",
    "as_click",
    "as_click_params",
    "bad_value",
    "expand_flags",
    "flag",
    "switch",
]

if TYPE_CHECKING:
    AnyType = click.ParamType[Any]
else:  # generic for type checkers only: older clicks are not at run time
    AnyType = click.ParamType


class KindType(AnyType):
    """A Kind as a type of click's."""

    def __init__(self, kind: declare.Kind) -> None:
        self.kind = kind
        self.name = kind.name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return self.kind.read(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _click_type(kind: Any) -> Any:
    """click's type for a Kind; what click has itself it also says itself."""
    if kind is declare.TEXT:
        return click.STRING
    if kind is declare.COUNT:
        return click.IntRange(0)
    if isinstance(kind, declare.Choice):
        return click.Choice(list(kind.words))
    return KindType(kind) if isinstance(kind, declare.Kind) else kind


class Flag(click.Option):
    """An option of click's that does what its declaration says."""

    def __init__(self, spec: FlagSpec) -> None:
        attrs: dict[str, Any] = {"callback": _remember, "expose_value": False} if spec.shared else {}
        if not spec.multiple:
            attrs["default"] = spec.default
        super().__init__(
            [spec.name, *spec.names],
            type=_click_type(spec.type),
            multiple=spec.multiple,
            metavar=spec.metavar,
            help=spec.help,
            **spec.shown,
            **attrs,
        )
        self.spec = spec
        self.bare = spec.bare

    def value_from_envvar(self, ctx: click.Context) -> Any:
        """The value from the variables; None when there is none."""
        others = [param.spec for param in ctx.command.params if isinstance(param, Flag)]
        return self.spec.from_env(os.environ, others)

    def consume_value(self, ctx: click.Context, opts: Any) -> Any:
        value, source = super().consume_value(ctx, opts)
        if self.multiple and source is ParameterSource.COMMANDLINE:
            value = [*(self.value_from_envvar(ctx) or ()), *value]
        if self.multiple and self.spec.split and source in (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT):
            value = [part for item in value for part in str(item).split(",") if part]
        return value, source

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        record = super().get_help_record(ctx)
        return None if record is None else (record[0].rstrip(), record[1])


def _remember(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
    """Keep the value of a shared flag in the invocation."""
    name = param.name or ""
    source = ctx.get_parameter_source(name)
    if source is ParameterSource.COMMANDLINE:
        invocation(ctx).set(name, value, given=True)
    elif source is ParameterSource.ENVIRONMENT:
        invocation(ctx).set(name, value, given=False)
    return value


def as_click_params(params: Sequence[Any]) -> list[click.Parameter]:
    """click's parameters for declared ones; those that are click's own stay as they are."""
    return [_as_click_param(param) for param in params]


def _as_click_param(param: Any) -> click.Parameter:
    if isinstance(param, FlagSpec):
        return Flag(param)
    if isinstance(param, declare.Argument):
        if param.many:
            return click.Argument([param.name], nargs=-1, required=param.required, metavar=param.metavar)
        if param.default is None:
            return click.Argument([param.name], metavar=param.metavar)
        return click.Argument([param.name], default=param.default, metavar=param.metavar)
    assert isinstance(param, click.Parameter)
    return param


def as_click(command: Declared) -> Command:
    """click's command for a declared one."""

    @click.pass_context
    def call(ctx: click.Context, /, **values: Any) -> int:
        return command.body(invocation(ctx), **values)

    return Command(
        command.name,
        callback=call,
        params=list(command.params),
        help=command.body.__doc__,
        short_help=command.short_help,
        unsupported=command.unsupported,
        usage_line=command.usage_line,
    )


class Command(click.Command):
    """A command that reads its flags as pflag does, and knows which flags of buildah it has not.

    `unsupported` are flags (`--name`) of the tool that is stood in for, which are refused with a
    message of their own (`buildah.refused`). `usage_line` is what follows the command's name in its help.
    """

    def __init__(
        self,
        name: str | None,
        *,
        params: Sequence[Any] | None = None,
        unsupported: Collection[str] = (),
        usage_line: str = "",
        **attrs: Any,
    ) -> None:
        attrs.setdefault("context_settings", {})
        attrs["context_settings"].setdefault("help_option_names", ["-h", "--help"])
        attrs["context_settings"].setdefault("max_content_width", 110)
        super().__init__(name, params=as_click_params(params or ()), **attrs)
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
            out.append(f"--{param.spec.long_name}={value}")
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
        from pywerf.cli.buildah.refused import REFUSED

        raise UsageError(f"{name} is not supported: {REFUSED[name].why}", hint=REFUSED[name].instead)
    shown = f"unknown flag: {name}" if name.startswith("--") else f"unknown shorthand flag: {name} in {word}"
    raise UsageError(shown, hint=_suggestion(name, [known for known in names if known.startswith("--")]))


def _suggestion(name: str, known: Sequence[str]) -> str | None:
    from difflib import get_close_matches

    if not name.startswith("--"):
        return None
    found = get_close_matches(name, known, 1, 0.7)
    return f"did you mean {found[0]}?" if found else None
