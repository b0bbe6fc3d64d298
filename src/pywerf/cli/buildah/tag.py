"""`werf buildah tag`: more names for an image."""

from __future__ import annotations

from collections.abc import Sequence

import click

from pywerf.cli.flags import Command
from pywerf.cli.invocation import engine_flags, invocation

__all__ = ["command"]


@click.command("tag", cls=Command, usage_line="IMAGE NAME...")
@engine_flags
@click.argument("image")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.pass_context
def command(ctx: click.Context, image: str, names: Sequence[str]) -> int:
    """Give an image one more name, or several. A name that another image has is taken from it."""
    with invocation(ctx).session() as session:
        session.tag(image, names)
    return 0
