"""`werf managed-images ls`: the images on the list, one a line."""

from __future__ import annotations

from typing import Any

import click

from pywerf.cli.flags import Command
from pywerf.cli.invocation import invocation
from pywerf.cli.managed_images.records import managed_flags, open_records

__all__ = ["command"]


@click.command("ls", cls=Command, usage_line="", short_help="Print the names of the images.")
@managed_flags
@click.pass_context
def command(ctx: click.Context, /, **flags: Any) -> None:
    """Print the names of the images, one a line; ~ is the image without a name."""
    from pywerf.build.project.storage.records import managed_images
    from pywerf.config.werf_yaml.model import shown_name

    with open_records(invocation(ctx), flags) as records:
        for image in managed_images(records):
            click.echo(shown_name(image.name))
