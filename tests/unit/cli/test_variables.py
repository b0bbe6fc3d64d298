"""Every flag of every command has its variable, `WERF_<FLAG>`; a flag on the command line beats it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click
import pytest
from click.core import ParameterSource

from pywerf.cli.app import app
from pywerf.cli.declare import BOOL
from pywerf.cli.flags import Flag
from pywerf.cli.invocation import Invocation
from pywerf.cli.lazy import as_click_group


def commands(group: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    """All commands below a group, with how they are called."""
    yield path, group
    if isinstance(group, click.Group):
        context = click.Context(group)
        for name in group.list_commands(context):
            found = group.get_command(context, name)
            assert found is not None, f"{path} {name}"
            yield from commands(found, f"{path} {name}")


ALL = list(commands(as_click_group(app), "werf"))
WITH_FLAGS = [
    pytest.param(command, id=path) for path, command in ALL if any(isinstance(param, Flag) for param in command.params)
]


def consumed(command: click.Command, param: Flag, given: dict[str, Any]) -> tuple[Any, ParameterSource]:
    context = click.Context(command, obj=Invocation())
    return param.consume_value(context, given)


def test_options_that_are_no_flags_of_ours_are_few() -> None:
    others = {
        name
        for _, command in ALL
        for param in command.params
        if isinstance(param, click.Option) and not isinstance(param, Flag)
        for name in param.opts
    }
    assert others <= {"-h", "--help", "-v", "--version"}


@pytest.mark.parametrize("command", WITH_FLAGS)
def test_the_variables_of_flags(command: click.Command) -> None:
    for param in command.params:
        if isinstance(param, Flag):
            with pytest.MonkeyPatch.context() as patch:
                has_its_variable(command, param, patch)


def has_its_variable(command: click.Command, param: Flag, monkeypatch: pytest.MonkeyPatch) -> None:
    """The names are the flag's own; repeatable ones take WERF_<FLAG>_* as well, in the order of their names."""
    assert param.spec.env_name == "WERF_" + param.spec.long_name.upper().replace("-", "_")
    text = "true" if param.spec.type is BOOL else "5"
    if param.multiple:
        monkeypatch.setenv(f"{param.spec.env_name}_B", "7")
        monkeypatch.setenv(f"{param.spec.env_name}_A", "6")
        if param.spec.own_scalar:
            monkeypatch.setenv(param.spec.env_name, text)
        expected = ["5", "6", "7"] if param.spec.own_scalar else ["6", "7"]
        assert consumed(command, param, {}) == (expected, ParameterSource.ENVIRONMENT)
        assert consumed(command, param, {param.name or "": ["8"]}) == ([*expected, "8"], ParameterSource.COMMANDLINE)
        return
    monkeypatch.setenv(param.spec.env_name, text)
    if not param.spec.own_scalar:  # its variable means something else
        assert consumed(command, param, {})[1] is not ParameterSource.ENVIRONMENT
        return
    assert consumed(command, param, {}) == (text, ParameterSource.ENVIRONMENT)
    assert consumed(command, param, {param.name or "": "8"}) == ("8", ParameterSource.COMMANDLINE)


@pytest.mark.parametrize(
    ("words", "value"),
    [
        (("1", "true", "yes", "True", "YES", " true "), True),
        (("0", "false", "no", "False", "NO"), False),
    ],
)
def test_booleans(words: tuple[str, ...], value: bool) -> None:
    assert [BOOL.read(word) for word in words] == [value] * len(words)
    with pytest.raises(ValueError, match="neither true nor false"):
        BOOL.read("perhaps")
