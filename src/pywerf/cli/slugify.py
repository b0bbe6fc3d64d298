"""`werf slugify`: a text as a valid name."""

from __future__ import annotations

import click

from pywerf.cli.flags import Command, flag
from pywerf.errors import UsageError
from pywerf.util.slug import SLUG_KINDS, slug

__all__ = ["command"]


@click.command("slugify", cls=Command)
@flag("--format", "-f", "format_", metavar="FORMAT", help=f"One of {', '.join(SLUG_KINDS)}.")
@click.argument("text")
def command(format_: str, text: str) -> int:
    """Print TEXT as it is valid for its purpose: unchanged where it can be, else mapped, cut and with a hash."""
    kind = next((kind for kind in SLUG_KINDS if kind == format_), None)
    if kind is None:
        raise UsageError(
            f"--format {format_!r} is no kind of name" if format_ else "--format is missing",
            hint=f"it is one of {', '.join(SLUG_KINDS)}",
        )
    click.echo(slug(text, kind))
    return 0
