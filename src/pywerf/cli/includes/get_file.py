"""`werf includes get-file`: one file as the project's configuration sees it."""

from __future__ import annotations

from typing import Any

import click

from pywerf.cli.flags import Command
from pywerf.cli.invocation import further_log_flags, invocation, log_flags
from pywerf.cli.project_flags import project_flags, project_options

__all__ = ["command"]


@click.command("get-file", cls=Command, usage_line="FILE", short_help="Print a file as the configuration sees it.")
@project_flags
@log_flags
@further_log_flags
@click.argument("file", metavar="FILE")
@click.pass_context
def command(ctx: click.Context, /, file: str, **flags: Any) -> None:
    """Print a file of the project or, when it has none there, of the repositories that it includes."""
    from pywerf.build.project.project import open_files

    with invocation(ctx).reporter(quiet=True) as reporter:
        data = open_files(project_options(flags), reporter).read(file)
    click.echo(data, nl=False)
