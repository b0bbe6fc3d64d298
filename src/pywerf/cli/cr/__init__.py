"""`werf cr`: what concerns container registries."""

from __future__ import annotations

from pywerf.cli.declare import declared_group
from pywerf.cli.invocation import Invocation, log_flags

__all__ = ["command"]

_COMMANDS = {
    "login": ("pywerf.cli.cr.login", "Log in to a registry."),
    "logout": ("pywerf.cli.cr.logout", "Log out of a registry."),
}


@declared_group("cr", _COMMANDS)
@log_flags
def command(run: Invocation) -> None:
    """What concerns container registries."""
