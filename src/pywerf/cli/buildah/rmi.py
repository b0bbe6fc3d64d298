"""`werf buildah rmi`: removes names and images."""

from __future__ import annotations

from collections.abc import Sequence

import click

from pywerf.cli.flags import Command, switch
from pywerf.cli.invocation import engine_flags, invocation
from pywerf.errors import UsageError

__all__ = ["command"]


@click.command("rmi", cls=Command, usage_line="[IMAGE...]")
@switch("--all", "-a", "all_", help="Remove all images.")
@switch("--force", "-f", help="Remove an image with all its names.")
@switch("--prune", "-p", help="Remove the images that have no name.")
@engine_flags
@click.argument("images", metavar="[IMAGE...]", nargs=-1)
@click.pass_context
def command(ctx: click.Context, all_: bool, force: bool, prune: bool, images: Sequence[str]) -> int:
    """Remove images. A name alone is taken away as long as the image has others."""
    if all_ and images:
        raise UsageError("when using the --all switch, you may not pass any images names or IDs")
    if prune and images:
        raise UsageError("when using the --prune switch, you may not pass any images names or IDs")
    if all_ and prune:
        raise UsageError("when using the --all switch, you may not use --prune switch")
    if not (images or all_ or prune):
        raise UsageError("image name or ID must be specified")
    with invocation(ctx).session() as session:
        removed = session.remove(images, force=force, prune=prune, all=all_)
    for event in removed:
        click.echo(f"untagged: {event.what}" if event.kind == "untagged" else event.what)
    return 0
