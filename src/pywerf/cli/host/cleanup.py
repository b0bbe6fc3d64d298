"""`werf host cleanup`: keeps caches, stores and the images of projects within limits of age, size, and of volumes."""

from __future__ import annotations

import os
import sys
from typing import Any

from pywerf.cli.auto_cleanup import cache_volume_flags
from pywerf.cli.declare import SIZE, declared, flag, switch
from pywerf.cli.host.places import home_flags, host_backends, tmp_dir
from pywerf.cli.invocation import Invocation, engine_flags, further_log_flags
from pywerf.cli.values import seconds, volume_flags

__all__ = ["command"]

_CACHE = "--allowed-local-cache-volume-usage"


@declared("cleanup")
@switch("--dry-run", help="Tell what would be removed, and remove nothing.")
@switch("--force", help="Stop containers of projects' images, and remove images that are in use.")
@flag("--project-name", "-N", metavar="NAME", help="Only images of this project.")
@flag("--keep-storage", type=SIZE, default=None, metavar="SIZE", help="Room for results of steps, e.g. 20g.")
@flag("--max-age", metavar="DURATION", help="Results of steps that were not used for so long go, e.g. 168h.")
@volume_flags
@cache_volume_flags
@flag(
    "--backend-storage-path",
    "--docker-server-storage-path",
    metavar="DIR",
    help="Where the Docker daemon keeps images (default: it is asked).",
)
@home_flags
@engine_flags
@further_log_flags
def command(run: Invocation, /, **flags: Any) -> int:
    """Remove what nobody needs; where a volume is too full, what was used longest ago as well.

    That is: leftover temporary files; of the caches in the home directory what was not used for three hours; of the
    embedded engine's store results of steps; and in both backends images of projects, dangling ones first, with what
    builds have left behind. What is in use stays, and while another werf works in the store, everything there does.
    """
    from pywerf.build.host.files import remove_temporary, shrink_cache
    from pywerf.build.host.reduce import reduce_images
    from pywerf.build.last_use import LastUse
    from pywerf.build.limits import clean_up, volume_limit
    from pywerf.report.text import human_size
    from pywerf.util.home import werf_home

    usage = "allowed_backend_storage_volume_usage"
    limit = volume_limit(flags[usage], flags[f"{usage}_margin"])
    usage = "allowed_local_cache_volume_usage"
    cache_limit = volume_limit(flags[usage], flags[f"{usage}_margin"], _CACHE)
    age = seconds("--max-age", flags["max_age"])
    dry_run, project = flags["dry_run"], flags["project_name"]
    home = os.path.abspath(werf_home(flags["home_dir"]))
    last_use = LastUse(home).of
    busy, left = False, 0
    images: list[str] = []
    containers = volumes = freed = 0
    counts: list[tuple[str, int]] = []
    with host_backends(run, flags["backend_storage_path"]) as backends:
        for session, host in backends:
            if session is not None:
                done = clean_up(session, limit=limit, keep_storage=flags["keep_storage"], max_age=age, dry_run=dry_run)
                report = done.collected
                images += done.images
                busy |= done.busy
                left = max(left, done.left)
                freed += report.bytes
                counts = [
                    ("Blobs", report.blobs),
                    ("Layers", report.layers),
                    ("Snapshots", report.snapshots),
                    ("Cache records", report.cache_records),
                    ("Cache mounts", report.cache_mounts),
                ]
                if done.busy:
                    continue
            reduced = reduce_images(
                *(host, limit), project=project, force=flags["force"], dry_run=dry_run, last_use=last_use
            )
            images += [name for name in reduced.images if name not in images]
            containers += len(reduced.containers)
            volumes += len(reduced.volumes)
            left = reduced.left if session is not None else max(left, reduced.left)
    temporary = remove_temporary(tmp_dir(flags), dry_run=dry_run)
    caches = shrink_cache(home, cache_limit, dry_run=dry_run)
    counts = [("Images", len(images)), *counts]
    others = (
        ("Containers", containers),
        ("Volumes", volumes),
        ("Cached files", caches.count),
        ("Temporary", temporary.count),
    )
    counts += [(what, count) for what, count in others if count]
    for what, count in counts:
        print(f"{what + ':':<15}{count}")
    freed += temporary.bytes + caches.bytes
    print(f"{'Space:':<15}{human_size(freed)}{' (nothing was removed)' if dry_run else ''}")
    if busy:
        print("another werf works in this store: nothing was removed there", file=sys.stderr)
    elif left and not dry_run:
        print(
            f"the volume still has {human_size(left)} more than --allowed-backend-storage-volume-usage allows: "
            "nothing else here can go",
            file=sys.stderr,
        )
    return 0
