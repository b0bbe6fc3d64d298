"""`werf buildah prune`: what nothing needs any more goes."""

from __future__ import annotations

import time
from collections.abc import Sequence

from pywerf.cli.buildah.filters import moment
from pywerf.cli.declare import SIZE, declared, flag, switch
from pywerf.cli.invocation import Invocation, engine_flags
from pywerf.errors import UsageError
from pywerf.report.text import human_size

__all__ = ["command"]


@declared("prune")
@switch("--all", "-a", "all_", help="Also all results of steps that builds could use again.")
@switch("--force", "-f", help="No effect: nothing is asked.")
@flag("--filter", "filters", multiple=True, metavar="until=TIME", help="Only what was not used since then (24h).")
@flag("--keep-storage", type=SIZE, default=None, metavar="SIZE", help="Room that the last used results keep.")
@engine_flags
def command(run: Invocation, /, all_: bool, force: bool, filters: tuple[str, ...], keep_storage: int | None) -> int:
    """Remove images without a name, and what nothing needs: of the build cache, what was not used for a week."""
    unused_for = _unused_for(filters)
    with run.session() as session:
        if unused_for is None and keep_storage is None:
            report = session.prune(all=all_)
        else:
            from pywerf.build.remove import prune

            report = prune(session, everything=all_, unused_for=unused_for, keep_bytes=keep_storage)
    for what, count in (
        ("Blobs", report.blobs),
        ("Layers", report.layers),
        ("Snapshots", report.snapshots),
        ("Cache records", report.cache_records),
        ("Cache mounts", report.cache_mounts),
    ):
        print(f"{what + ':':<15}{count}")
    print(f"{'Space:':<15}{human_size(report.bytes)}")
    return 0


def _unused_for(filters: Sequence[str]) -> float | None:
    """The age in seconds that the filters ask for. Raises UsageError for other filters than `until`."""
    ages = []
    for text in filters:
        key, _, value = text.partition("=")
        if key != "until" or not value:
            raise UsageError(f"--filter {text}: unsupported filter", hint="the filter is until=24h or until=TIME")
        ages.append(max(0.0, time.time() - moment(value)))
    return max(ages, default=None)
