"""`werf host`: what concerns the machine that images are built on."""

from __future__ import annotations

import click

from pywerf.cli.invocation import engine_flags
from pywerf.cli.lazy import LazyGroup

__all__ = ["command"]

_COMMANDS = {
    "cleanup": ("pywerf.cli.host.cleanup", "Keep the store within its limits."),
    "doctor": ("pywerf.cli.host.doctor", "Show what this machine can do, and what would give the rest."),
}


@click.group("host", cls=LazyGroup, table=_COMMANDS)
@engine_flags
@click.pass_context
def command(ctx: click.Context) -> None:
    """What concerns the machine that images are built on."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
