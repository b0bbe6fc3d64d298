"""`werf host`: what concerns the machine that images are built on."""

from __future__ import annotations

from pywerf.cli.declare import declared_group
from pywerf.cli.invocation import Invocation, engine_flags

__all__ = ["command"]

_COMMANDS = {
    "cleanup": ("pywerf.cli.host.cleanup", "Keep caches, stores and images within their limits."),
    "purge": ("pywerf.cli.host.purge", "Remove all of werf, or of a project, from this machine."),
    "doctor": ("pywerf.cli.host.doctor", "Show what this machine can do, and what would give the rest."),
}


@declared_group("host", _COMMANDS)
@engine_flags
def command(run: Invocation) -> None:
    """What concerns the machine that images are built on."""
