"""`werf config`: looks at a project's configuration."""

from __future__ import annotations

from pywerf.cli.declare import declared_group
from pywerf.cli.invocation import Invocation

__all__ = ["command"]

_COMMANDS = {
    "render": ("pywerf.cli.config.render", "Print werf.yaml after its templates."),
    "list": ("pywerf.cli.config.list_images", "Print the names of the images."),
    "graph": ("pywerf.cli.config.graph", "Print what the images need of each other, as YAML."),
}


@declared_group("config", _COMMANDS)
def command(run: Invocation, /) -> None:
    """Look at the project's configuration, as it is built from it."""
