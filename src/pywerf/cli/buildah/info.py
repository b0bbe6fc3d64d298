"""`werf buildah info`: what is known of the host and the store."""

from __future__ import annotations

import click

from pywerf.cli.flags import Command, flag, switch
from pywerf.cli.invocation import engine_flags, invocation
from pywerf.cli.tables import print_object

__all__ = ["command"]


@click.command("info", cls=Command)
@switch("--debug", "-d", help="Show versions, too.")
@flag("--format", "format_", metavar="TEMPLATE", help="Show by a Go template.")
@engine_flags
@click.pass_context
def command(ctx: click.Context, debug: bool, format_: str) -> int:
    """Show what is known of the host and the store, as JSON."""
    with invocation(ctx).session() as session:
        info = dict(session.info())
    if debug:
        import platform

        from pywerf import __version__

        info["debug"] = {
            "compiler": platform.python_implementation(),
            "python version": platform.python_version(),
            "werf version": __version__,
        }
    print_object(info, format_)
    return 0
