"""`werf compose run`: a command in a container of a service."""

from __future__ import annotations

from typing import Any

import click

from pywerf.cli.compose.flags import ComposeCommand, compose_flags
from pywerf.cli.compose.project import compose
from pywerf.errors import UsageError

__all__ = ["command"]


@click.command(
    "run",
    cls=ComposeCommand,
    after="-- SERVICE [COMMAND…]",
    short_help="Run a command in a service's container.",
)
@compose_flags()
@click.pass_context
def command(ctx: click.Context, /, **flags: Any) -> int:
    """Build the images that the compose file uses, or those named, and run a service, or a command in its container.

    It ends with the command's status.
    """
    if not flags["arguments"]:
        raise UsageError("no service to run", hint="werf compose run [IMAGE…] -- SERVICE [COMMAND…]")
    return compose(ctx, flags, "run")
