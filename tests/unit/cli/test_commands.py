"""What holds for the flags of every command."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import click

from pywerf.cli.app import app
from pywerf.cli.lazy import as_click_group


def commands(group: click.Group, path: str = "werf") -> Iterator[tuple[str, click.Command]]:
    """All commands with the words that call them."""
    ctx = click.Context(group)
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        assert command is not None, f"{path} {name}"
        yield f"{path} {name}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")


def test_no_command_has_a_flag_twice() -> None:
    seen = 0
    for words, command in commands(as_click_group(app)):
        names = Counter(name for param in command.params for name in (*param.opts, *param.secondary_opts))
        assert [name for name, count in names.items() if count > 1] == [], words
        seen += 1
    assert seen > 40


def test_commands_on_projects_have_all_flags_of_the_log() -> None:
    levels = [f"--{prefix}{level}" for prefix in ("log-", "") for level in ("quiet", "verbose", "debug")]
    others = ("color-mode", "pretty", "project-dir", "terminal-width", "time", "time-format")
    wanted = {*levels, *(f"--log-{name}" for name in others)}
    seen = 0
    for words, command in commands(as_click_group(app)):
        names = {name for param in command.params for name in param.opts}
        if "--config-templates-dir" in names:
            assert sorted(wanted - names) == [], words
            seen += 1
    assert seen > 15
