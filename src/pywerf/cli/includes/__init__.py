"""`werf includes`: files of other repositories that a project's configuration is made with."""

from __future__ import annotations

import click

from pywerf.cli.lazy import LazyGroup

__all__ = ["command"]

_COMMANDS = {
    "update": ("pywerf.cli.includes.update", "Write the newest commits into werf-includes.lock."),
    "ls-files": ("pywerf.cli.includes.ls_files", "List the files of the project, with where they come from."),
    "get-file": ("pywerf.cli.includes.get_file", "Print one of these files."),
}


@click.group("includes", cls=LazyGroup, table=_COMMANDS)
@click.pass_context
def command(ctx: click.Context) -> None:
    """Look at the files that werf-includes.yaml takes from other repositories, and renew them."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
