"""`werf includes`: files of other repositories that a project's configuration is made with."""

from __future__ import annotations

from pywerf.cli.declare import declared_group
from pywerf.cli.invocation import Invocation

__all__ = ["command"]

_COMMANDS = {
    "update": ("pywerf.cli.includes.update", "Write the newest commits into werf-includes.lock."),
    "ls-files": ("pywerf.cli.includes.ls_files", "List the files of the project, with where they come from."),
    "get-file": ("pywerf.cli.includes.get_file", "Print one of these files."),
}


@declared_group("includes", _COMMANDS)
def command(run: Invocation, /) -> None:
    """Look at the files that werf-includes.yaml takes from other repositories, and renew them."""
