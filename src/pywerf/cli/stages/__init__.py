"""`werf stages`: what concerns all stages of a project."""

from __future__ import annotations

from pywerf.cli.declare import declared_group
from pywerf.cli.invocation import Invocation, log_flags

__all__ = ["command"]

_COMMANDS = {"copy": ("pywerf.cli.stages.copy", "Copy stages between repositories and archives.")}


@declared_group("stages", _COMMANDS)
@log_flags
def command(run: Invocation) -> None:
    """What concerns all stages of a project."""
