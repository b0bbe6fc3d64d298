"""Groups of commands that are named in a table and loaded only when they are called."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from typing import Any

import click

from pywerf.cli.flags import expand_flags
from pywerf.errors import UsageError

__all__ = ["LazyGroup"]


class LazyGroup(click.Group):
    """A group whose `table` maps a command's name to (module, one line of help).

    The module's `command` is the command. `aliases` maps other names to those of the table.
    """

    def __init__(
        self,
        *args: Any,
        table: Mapping[str, tuple[str, str]],
        aliases: Mapping[str, str] | None = None,
        **attrs: Any,
    ) -> None:
        attrs.setdefault("context_settings", {"help_option_names": ["-h", "--help"], "max_content_width": 110})
        attrs.setdefault("invoke_without_command", True)
        super().__init__(*args, **attrs)
        self.table = dict(table)
        self.aliases = dict(aliases or {})

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = self.table.get(self.aliases.get(cmd_name, cmd_name))
        if entry is None:
            return None
        try:
            command: click.Command = importlib.import_module(entry[0]).command
        except ImportError:
            if sys.platform != "linux":
                # Commands on the embedded engine's store need modules that only Unix has.
                from pywerf.isolation.ladder import check_platform

                check_platform(sys.platform)
            raise
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, expand_flags(self, ctx, args))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        command = self.get_command(ctx, name)
        if command is None:
            raise UsageError(f'unknown command "{name}" for "{ctx.command_path}"', hint=self._suggestion(name))
        return self.aliases.get(name, name), command, args[1:]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands with their lines of the table: help loads no command's module."""
        rows = [(name, line) for name, (_, line) in self.table.items()]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def _suggestion(self, name: str) -> str:
        from difflib import get_close_matches

        found = get_close_matches(name, [*self.table, *self.aliases], 1, 0.6)
        return f"did you mean {found[0]}?" if found else "see --help for the commands"
