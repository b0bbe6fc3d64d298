"""`werf host cleanup`: keeps the store within limits of age, size, and of its volume."""

from __future__ import annotations

import click

from pywerf.cli.flags import Command, Size, flag, switch
from pywerf.cli.invocation import engine_flags, invocation
from pywerf.cli.values import seconds, volume_flags

__all__ = ["command"]


@click.command("cleanup", cls=Command)
@switch("--dry-run", help="Tell what would be removed, and remove nothing.")
@flag("--keep-storage", type=Size(), default=None, metavar="SIZE", help="Room for results of steps, e.g. 20g.")
@flag("--max-age", metavar="DURATION", help="Results of steps that were not used for so long go, e.g. 168h.")
@volume_flags
@engine_flags
@click.pass_context
def command(
    ctx: click.Context,
    dry_run: bool,
    keep_storage: int | None,
    max_age: str,
    allowed_backend_storage_volume_usage: str,
    allowed_backend_storage_volume_usage_margin: str,
) -> int:
    """Remove what nobody needs; where the volume is too full, images without a name and old results of steps as well.

    What an image with a name needs stays; and while another werf works in the store, everything does.
    """
    from pywerf.build.limits import clean_up, volume_limit
    from pywerf.report.text import human_size

    limit = volume_limit(allowed_backend_storage_volume_usage, allowed_backend_storage_volume_usage_margin)
    age = seconds("--max-age", max_age)
    with invocation(ctx).session() as session:
        done = clean_up(session, limit=limit, keep_storage=keep_storage, max_age=age, dry_run=dry_run)
    report = done.collected
    for what, count in (
        ("Images", len(done.images)),
        ("Blobs", report.blobs),
        ("Layers", report.layers),
        ("Snapshots", report.snapshots),
        ("Cache records", report.cache_records),
        ("Cache mounts", report.cache_mounts),
    ):
        click.echo(f"{what + ':':<15}{count}")
    click.echo(f"{'Space:':<15}{human_size(report.bytes)}{' (nothing was removed)' if dry_run else ''}")
    if done.busy:
        click.echo("another werf works in this store: nothing was removed", err=True)
    elif done.left and not dry_run:
        click.echo(
            f"the volume still has {human_size(done.left)} more than --allowed-backend-storage-volume-usage allows: "
            "nothing else here can go",
            err=True,
        )
    return 0
