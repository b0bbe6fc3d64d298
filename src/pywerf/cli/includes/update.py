"""`werf includes update`: writes werf-includes.lock."""

from __future__ import annotations

from typing import Any

from pywerf.cli.declare import declared
from pywerf.cli.invocation import Invocation, further_log_flags, log_flags
from pywerf.cli.project_flags import project_flags, project_options

__all__ = ["command"]


@declared("update", usage_line="", short_help="Write the newest commits into werf-includes.lock.")
@project_flags
@log_flags
@further_log_flags
def command(run: Invocation, /, **flags: Any) -> int:
    """Ask the repositories of werf-includes.yaml for the commits of their branches and tags; write them down.

    The file is read from the work tree. It and the lock file count when both are committed.
    """
    from pywerf.build.project.includes import update_lock

    with run.reporter(quiet=True):
        path = update_lock(project_options(flags))
    print(path)
    return 0
