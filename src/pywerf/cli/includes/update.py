"""`werf includes update`: writes werf-includes.lock."""

from __future__ import annotations

from typing import Any

import click

from pywerf.cli.flags import Command
from pywerf.cli.invocation import further_log_flags, invocation, log_flags
from pywerf.cli.project_flags import project_flags, project_options

__all__ = ["command"]


@click.command("update", cls=Command, usage_line="", short_help="Write the newest commits into werf-includes.lock.")
@project_flags
@log_flags
@further_log_flags
@click.pass_context
def command(ctx: click.Context, /, **flags: Any) -> None:
    """Ask the repositories of werf-includes.yaml for the commits of their branches and tags; write them down.

    The file is read from the work tree. It and the lock file count when both are committed.
    """
    from pywerf.build.project.includes import update_lock

    with invocation(ctx).reporter(quiet=True):
        path = update_lock(project_options(flags))
    click.echo(path)
