"""`werf buildah unshare`: a command in the user namespace that the engine of an ordinary user works in."""

from __future__ import annotations

import os

import click

from pywerf.cli.flags import Command
from pywerf.cli.invocation import engine_flags, invocation

__all__ = ["command"]


@click.command(
    "unshare",
    cls=Command,
    usage_line="[COMMAND...]",
    context_settings={"allow_interspersed_args": False, "ignore_unknown_options": True},
)
@engine_flags
@click.argument("arguments", metavar="[COMMAND...]", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def command(ctx: click.Context, arguments: tuple[str, ...]) -> int:
    """Run COMMAND (or a shell) in a user namespace with your subordinate ids, or your id alone, as the engine has it.

    The variable WERF_BUILDAH_ROOT leads werf to the same store in it. Not for root, who sees all files anyway.
    """
    from pywerf.build.unshare import unshare

    run = invocation(ctx)
    run.passes_status = True
    words = arguments[1:] if arguments[:1] == ("--",) else arguments
    return unshare(words or (os.environ.get("SHELL") or "/bin/sh",), run.engine)
