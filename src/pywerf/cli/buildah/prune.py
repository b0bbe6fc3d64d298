"""`werf buildah prune`: what nothing needs any more goes."""

from __future__ import annotations

import click

from pywerf.cli.flags import Command, switch
from pywerf.cli.invocation import engine_flags, invocation
from pywerf.report.text import human_size

__all__ = ["command"]


@click.command("prune", cls=Command)
@switch("--all", "-a", "all_", help="Also all results of steps that builds could use again.")
@engine_flags
@click.pass_context
def command(ctx: click.Context, all_: bool) -> int:
    """Remove images without a name, and what nothing needs: of the build cache, what was not used for a week."""
    with invocation(ctx).session() as session:
        report = session.prune(all=all_)
    for what, count in (
        ("Blobs", report.blobs),
        ("Layers", report.layers),
        ("Snapshots", report.snapshots),
        ("Cache records", report.cache_records),
    ):
        click.echo(f"{what + ':':<15}{count}")
    click.echo(f"{'Space:':<15}{human_size(report.bytes)}")
    return 0
