"""Groups of commands that are named in a table and loaded only when they are called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from pywerf.cli.declare import Declared, DeclaredGroup, load_command
from pywerf.cli.flags import as_click, as_click_params, expand_flags
from pywerf.cli.invocation import invocation
from pywerf.errors import UsageError

__all__ = ["LazyGroup", "as_click_group"]

_DEPLOYMENT = frozenset(
    ("bundle", "converge", "dismiss", "helm", "kube-run", "kubectl", "lint", "plan", "render", "rollback")
)
"""Commands of upstream's that deploy to Kubernetes."""


class LazyGroup(click.Group):
    """A group whose `table` maps a command's name to (module, one line of help).

    The module's `command` is the command, declared or click's own. `aliases` maps other names to those of the table.
    """

    def __init__(
        self,
        *args: Any,
        table: Mapping[str, tuple[str, str]],
        aliases: Mapping[str, str] | None = None,
        params: Sequence[Any] | None = None,
        **attrs: Any,
    ) -> None:
        attrs.setdefault("context_settings", {"help_option_names": ["-h", "--help"], "max_content_width": 110})
        attrs.setdefault("invoke_without_command", True)
        super().__init__(*args, params=as_click_params(params or ()), **attrs)
        self.table = dict(table)
        self.aliases = dict(aliases or {})

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = self.table.get(self.aliases.get(cmd_name, cmd_name))
        if entry is None:
            return None
        command = load_command(entry[0])
        if isinstance(command, DeclaredGroup):
            return as_click_group(command)
        if isinstance(command, Declared):
            return as_click(command)
        assert isinstance(command, click.Command)
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, expand_flags(self, ctx, args))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        command = self.get_command(ctx, name)
        if command is None:
            raise UsageError(f'unknown command "{name}" for "{ctx.command_path}"', hint=self._suggestion(ctx, name))
        return self.aliases.get(name, name), command, args[1:]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands with their lines of the table: help loads no command's module."""
        rows = [(name, line) for name, (_, line) in self.table.items()]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def _suggestion(self, ctx: click.Context, name: str) -> str:
        if ctx.parent is None and name in _DEPLOYMENT:
            return (
                "nothing is deployed to Kubernetes here: build with `werf build --repo REPO --save-build-report`, and "
                "give the images of the report to helm or kubectl"
            )
        from difflib import get_close_matches

        found = get_close_matches(name, [*self.table, *self.aliases], 1, 0.6)
        return f"did you mean {found[0]}?" if found else "see --help for the commands"


def as_click_group(group: DeclaredGroup) -> LazyGroup:
    """click's group for a declared one."""

    @click.pass_context
    def call(ctx: click.Context, /, **values: Any) -> None:
        said = group.body(invocation(ctx), **values)
        if said is not None:
            click.echo(said)
            ctx.exit()
        if ctx.invoked_subcommand is None:
            click.echo(ctx.get_help())

    return LazyGroup(
        group.name,
        callback=call,
        params=group.params,
        help=group.body.__doc__,
        epilog=group.epilog,
        table=group.table,
        aliases=group.aliases,
    )
