"""`werf compose config`: the compose file with the names of the images."""

from __future__ import annotations

from typing import Any

import click

from pywerf.cli.compose.flags import ComposeCommand, compose_flags
from pywerf.cli.compose.project import compose

__all__ = ["command"]


@click.command("config", cls=ComposeCommand, short_help="Print the compose file with the names of the images.")
@compose_flags()
@click.pass_context
def command(ctx: click.Context, /, **flags: Any) -> int:
    """Build the images that the compose file uses, or those named, and print the file with what they are called."""
    return compose(ctx, flags, "config")
