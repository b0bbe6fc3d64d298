"""`werf config`: looks at a project's configuration."""

from __future__ import annotations

import click

from pywerf.cli.lazy import LazyGroup

__all__ = ["command"]

_COMMANDS = {
    "render": ("pywerf.cli.config.render", "Print werf.yaml after its templates."),
    "list": ("pywerf.cli.config.list_images", "Print the names of the images."),
    "graph": ("pywerf.cli.config.graph", "Print what the images need of each other, as YAML."),
}


@click.group("config", cls=LazyGroup, table=_COMMANDS)
@click.pass_context
def command(ctx: click.Context) -> None:
    """Look at the project's configuration, as it is built from it."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
