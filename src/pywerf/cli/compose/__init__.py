"""`werf compose`: docker compose with the images of a project."""

from __future__ import annotations

from pywerf.cli.declare import declared_group
from pywerf.cli.invocation import Invocation, log_flags

__all__ = ["command"]

_COMMANDS = {
    "config": ("pywerf.cli.compose.config", "Print the compose file with the names of the images."),
    "run": ("pywerf.cli.compose.run", "Run a command in a service's container."),
    "up": ("pywerf.cli.compose.up", "Start the services."),
    "down": ("pywerf.cli.compose.down", "Stop the services, and remove them."),
}


@declared_group("compose", _COMMANDS)
@log_flags
def command(run: Invocation) -> None:
    """Build the images that a compose file uses, and call docker compose.

    The file names an image of werf.yaml by a variable: $WERF_WEB_API_DOCKER_IMAGE_NAME is the image web/api.
    """
