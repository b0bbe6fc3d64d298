"""`werf config graph`: what the images need of each other."""

from __future__ import annotations

from typing import Any

import click

from pywerf.cli.flags import Command
from pywerf.cli.invocation import invocation, log_flags
from pywerf.cli.project_flags import project_flags, project_options

__all__ = ["command"]


@click.command("graph", cls=Command, usage_line="[IMAGE…]", short_help="Print what the images need of each other.")
@project_flags
@log_flags
@click.argument("images", nargs=-1, metavar="[IMAGE…]")
@click.pass_context
def command(ctx: click.Context, /, **flags: Any) -> None:
    """Print, as YAML, the images and the images that they need: by from, import and dependencies."""
    from pywerf.build.project.documents import graph_of
    from pywerf.build.project.project import open_project

    with invocation(ctx).reporter(quiet=True) as reporter:
        project = open_project(project_options(flags), reporter)
        text = graph_of(project, flags["images"])
    click.echo(text)
