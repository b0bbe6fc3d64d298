"""`werf version`. (`main.py` answers the bare command without loading this.)"""

from __future__ import annotations

import click

from pywerf import __version__
from pywerf.cli.flags import Command

__all__ = ["command"]


@click.command("version", cls=Command)
def command() -> None:
    """Print the version."""
    click.echo(__version__)
