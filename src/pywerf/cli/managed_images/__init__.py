"""`werf managed-images`: the images that cleanup counts among a project's, whatever werf.yaml has now."""

from __future__ import annotations

from pywerf.cli.declare import declared_group
from pywerf.cli.invocation import Invocation

__all__ = ["command"]

_COMMANDS = {
    "ls": ("pywerf.cli.managed_images.ls", "Print the names of the images."),
    "add": ("pywerf.cli.managed_images.add", "Count images among the project's."),
    "rm": ("pywerf.cli.managed_images.rm", "Count images among the project's no more."),
}


@declared_group("managed-images", _COMMANDS)
def command(run: Invocation, /) -> None:
    """Look at, and change, the list of images that cleanup counts among the project's.

    Builds put images on it. One that werf.yaml has no more stays on it, and its stages are kept by the same rules as
    before, until it is taken away.
    """
