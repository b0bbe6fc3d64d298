"""`werf purge`: deletes everything of a project in its repository."""

from __future__ import annotations

from typing import Any

from pywerf.cli.declare import declared
from pywerf.cli.deletion import deletion_flags, jobs, need_repo, open_repositories, print_plan, report_path
from pywerf.cli.invocation import Invocation, further_log_flags, log_flags, progress_flags
from pywerf.cli.project_flags import project_flags, project_name
from pywerf.cli.repo_flags import repo_flags
from pywerf.cli.vendor_flags import vendor_flags

__all__ = ["command"]


@declared("purge", usage_line="", short_help="Delete everything of a project in its repository.")
@deletion_flags
@project_flags
@repo_flags
@vendor_flags
@progress_flags
@log_flags
@further_log_flags
def command(run: Invocation, /, **flags: Any) -> int:
    """Delete all stages, custom tags and records of the project in --repo and --final-repo, in use or not.

    Tags that are not the project's stay. With --project-name no werf.yaml is read.
    """
    from pywerf.build.cleanup.run import CleanupOptions, purge

    need_repo(flags, "purge")
    options = CleanupOptions(dry_run=flags["dry_run"], jobs=jobs(flags), report=report_path(flags))
    with run.reporter() as reporter:
        name = project_name(flags, reporter)
        with (
            open_repositories(run, flags, name, reporter) as opened,
            opened.locked(dry_run=options.dry_run),
        ):
            done = purge(name, opened.repo, opened.final, options, reporter)
    print_plan(done, dry_run=options.dry_run, verbose=run.verbosity in ("verbose", "debug"))
    return 0
