"""`werf config render`: werf.yaml after its templates, or the documents of some images."""

from __future__ import annotations

from typing import Any

import click

from pywerf.cli.flags import Command
from pywerf.cli.invocation import invocation, log_flags
from pywerf.cli.project_flags import project_flags, project_options

__all__ = ["command"]


@click.command("render", cls=Command, usage_line="[IMAGE…]", short_help="Print werf.yaml after its templates.")
@project_flags
@log_flags
@click.argument("images", nargs=-1, metavar="[IMAGE…]")
@click.pass_context
def command(ctx: click.Context, /, **flags: Any) -> None:
    """Print the rendered configuration; with names or patterns of images their documents alone."""
    from pywerf.build.project.documents import documents_of
    from pywerf.build.project.project import open_project

    with invocation(ctx).reporter(quiet=not flags["debug_templates"]) as reporter:
        project = open_project(project_options(flags), reporter)
        text = documents_of(project, flags["images"]) if flags["images"] else project.rendered
    click.echo(text, nl=not text.endswith("\n"))
