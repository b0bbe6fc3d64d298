"""`werf buildah untag`: names are taken from an image, the image stays."""

from __future__ import annotations

from collections.abc import Sequence

import click

from pywerf.cli.flags import Command
from pywerf.cli.invocation import engine_flags, invocation

__all__ = ["command"]


@click.command("untag", cls=Command, usage_line="IMAGE [NAME...]")
@engine_flags
@click.argument("image")
@click.argument("names", metavar="[NAME...]", nargs=-1)
@click.pass_context
def command(ctx: click.Context, image: str, names: Sequence[str]) -> int:
    """Take names from an image; without NAME all of them. The image itself stays."""
    with invocation(ctx).session() as session:
        session.untag(image, names)
    return 0
