"""`werf stage`: what concerns the stages of images."""

from __future__ import annotations

from pywerf.cli.declare import declared_group
from pywerf.cli.invocation import Invocation, log_flags

__all__ = ["command"]

_COMMANDS = {"image": ("pywerf.cli.stage.image", "Print the name of an image's last stage.")}


@declared_group("stage", _COMMANDS)
@log_flags
def command(run: Invocation) -> None:
    """What concerns the stages of images."""
