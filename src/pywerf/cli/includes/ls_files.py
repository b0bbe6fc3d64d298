"""`werf includes ls-files`: the files of a project, and where they come from."""

from __future__ import annotations

from typing import Any

from pywerf.cli.declare import argument, declared, flag
from pywerf.cli.invocation import Invocation, further_log_flags, log_flags
from pywerf.cli.project_flags import project_flags, project_options
from pywerf.errors import UsageError

__all__ = ["command"]


@declared("ls-files", usage_line="[GLOB]", short_help="List the files, with where they come from.")
@flag("--filter", metavar="source=local|URL", help="Only files of the project itself, or of one repository.")
@project_flags
@log_flags
@further_log_flags
@argument("glob", default="", metavar="[GLOB]")
def command(run: Invocation, /, glob: str, **flags: Any) -> int:
    """List the files that the project's configuration can use: path, and `local` or the repository's URL.

    A GLOB is of whole paths; ** crosses directories.
    """
    from pywerf.build.project.includes import listed
    from pywerf.build.project.project import open_files

    key, _, source = flags["filter"].partition("=")
    if flags["filter"] and (key != "source" or not source):
        raise UsageError(f"--filter {flags['filter']}: no such filter", hint="--filter source=local, or source=URL")
    with run.reporter(quiet=True) as reporter:
        files = open_files(project_options(flags), reporter)
        found = [(path, origin) for path, origin in listed(files, glob) if source in ("", origin)]
    width = max((len(path) for path, _ in found), default=0)
    for path, origin in found:
        print(f"{path:{width}}  {origin}")
    return 0
