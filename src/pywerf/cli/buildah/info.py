"""`werf buildah info`: what is known of the host and the store."""

from __future__ import annotations

import sys

import click

from pywerf.cli.flags import Command, flag, switch
from pywerf.cli.go_objects import dump, json_function
from pywerf.cli.invocation import engine_flags, invocation
from pywerf.config.template import parse_template

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
    if not format_:
        click.echo(dump(info, indent=4))
        return 0
    text = parse_template(format_, "format", json_function()).execute(info)
    click.echo(text, nl=sys.stdout.isatty() and not text.endswith("\n"))
    return 0
