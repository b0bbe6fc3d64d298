"""`werf managed-images add`: puts images on the list."""

from __future__ import annotations

from typing import Any

import click

from pywerf.cli.flags import Command
from pywerf.cli.invocation import invocation
from pywerf.cli.managed_images.records import image_names, managed_flags, open_records

__all__ = ["command"]


@click.command("add", cls=Command, usage_line="IMAGE…", short_help="Count images among the project's.")
@managed_flags
@click.argument("images", nargs=-1, required=True, metavar="IMAGE…")
@click.pass_context
def command(ctx: click.Context, /, images: tuple[str, ...], **flags: Any) -> None:
    """Count images among the project's, though werf.yaml does not have them (~: the image without a name)."""
    from pywerf.build.project.storage.records import ManagedImage, managed_images

    with open_records(invocation(ctx), flags) as records:
        known = managed_images(records)
        for record in map(ManagedImage, image_names(images)):
            if record not in known:
                records.write(record.tag, record.labels)
