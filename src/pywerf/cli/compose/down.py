"""`werf compose down`: services and their networks are removed."""

from __future__ import annotations

from typing import Any

import click

from pywerf.cli.compose.flags import ComposeCommand, compose_flags
from pywerf.cli.compose.project import compose

__all__ = ["command"]


@click.command("down", cls=ComposeCommand, short_help="Stop the services, and remove them.")
@compose_flags(stub_tags=True)
@click.pass_context
def command(ctx: click.Context, /, **flags: Any) -> int:
    """Stop the services of the compose file, and remove their containers and networks.

    Nothing is built, unless with --stub-tags=false.
    """
    return compose(ctx, flags, "down")
