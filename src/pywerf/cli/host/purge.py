"""`werf host purge`: removes all of werf from this machine, or all of one project."""

from __future__ import annotations

import os
from typing import Any

from pywerf.cli.declare import declared, flag, switch
from pywerf.cli.host.places import home_flags, host_backends, tmp_dir
from pywerf.cli.invocation import Invocation, engine_flags, further_log_flags

__all__ = ["command"]


@declared("purge")
@switch("--dry-run", help="Tell what would be removed, and remove nothing.")
@switch("--force", help="Stop containers of projects' images first, and remove temporary files of running jobs.")
@flag("--project-name", "-N", metavar="NAME", help="Only the images of this project, and nothing else.")
@home_flags
@engine_flags
@further_log_flags
def command(run: Invocation, /, **flags: Any) -> int:
    """Remove the images of projects from both backends, results of steps, caches and temporary files.

    Images that came within the last three hours stay. Images of containers are an error, unless --force. Images that
    no werf.yaml has made (werf buildah build) are left alone; so are logins, locks, and a lock server's database.
    """
    from pywerf.build.host.files import purge_home, remove_temporary
    from pywerf.build.host.reduce import purge_images
    from pywerf.report.text import human_size
    from pywerf.util.home import werf_home

    project, dry_run, force = flags["project_name"], flags["dry_run"], flags["force"]
    verb = "would remove" if dry_run else "removed"
    freed = 0
    with host_backends(run) as backends:
        for session, host in backends:
            done = purge_images(host, project=project, force=force, dry_run=dry_run)
            for name in done.containers:
                print(f"{verb} container {name[:12]} ({host.name})")
            for name in done.images:
                print(f"{verb} image {name} ({host.name})")
            if session is not None and not project and not dry_run:
                from pywerf.build.remove import prune

                freed += prune(session, everything=True).bytes
    if not project:
        home = purge_home(os.path.abspath(werf_home(flags["home_dir"])), dry_run=dry_run)
        age = {"age": 0.0} if force else {}
        temporary = remove_temporary(tmp_dir(flags), dry_run=dry_run, **age)
        freed += home.bytes + temporary.bytes
        if home.count:
            print(f"{verb} the caches in {werf_home(flags['home_dir'])}")
        if temporary.count:
            print(f"{verb} {temporary.count} temporary files and folders")
    print(f"Space: {human_size(freed)}{' (nothing was removed)' if dry_run else ''}")
    return 0
