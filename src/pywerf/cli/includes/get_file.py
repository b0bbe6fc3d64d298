"""`werf includes get-file`: one file as the project's configuration sees it."""

from __future__ import annotations

import sys
from typing import Any

from pywerf.cli.declare import argument, declared
from pywerf.cli.invocation import Invocation, further_log_flags, log_flags
from pywerf.cli.project_flags import project_flags, project_options

__all__ = ["command"]


@declared("get-file", usage_line="FILE", short_help="Print a file as the configuration sees it.")
@project_flags
@log_flags
@further_log_flags
@argument("file", metavar="FILE")
def command(run: Invocation, /, file: str, **flags: Any) -> int:
    """Print a file of the project or, when it has none there, of the repositories that it includes."""
    from pywerf.build.project.project import open_files

    with run.reporter(quiet=True) as reporter:
        data = open_files(project_options(flags), reporter).read(file)
    sys.stdout.buffer.write(data)
    return 0
