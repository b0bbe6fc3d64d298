"""`werf compose up`: the services run with the project's images."""

from __future__ import annotations

from typing import Any

import click

from pywerf.cli.compose.flags import ComposeCommand, compose_flags
from pywerf.cli.compose.project import compose
from pywerf.cli.flags import switch

__all__ = ["command"]


@click.command("up", cls=ComposeCommand, after="[-- SERVICE…]", short_help="Start the services.")
@switch("--follow", help="Start again what has changed with each new commit, with --dev with each change.")
@compose_flags()
@click.pass_context
def command(ctx: click.Context, /, **flags: Any) -> int:
    """Build the images that the compose file uses, or those named, and start its services, or those after --.

    They run in front, until they are interrupted; --docker-compose-command-options "-d" starts them in the background.
    """
    return compose(ctx, flags, "up")
