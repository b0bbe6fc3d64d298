"""`werf managed-images ls`: the images on the list, one a line."""

from __future__ import annotations

from typing import Any

from pywerf.cli.declare import declared
from pywerf.cli.invocation import Invocation
from pywerf.cli.managed_images.records import managed_flags, open_records

__all__ = ["command"]


@declared("ls", usage_line="", short_help="Print the names of the images.")
@managed_flags
def command(run: Invocation, /, **flags: Any) -> int:
    """Print the names of the images, one a line; ~ is the image without a name."""
    from pywerf.build.project.storage.records import managed_images
    from pywerf.config.werf_yaml.model import shown_name

    with open_records(run, flags) as records:
        for image in managed_images(records):
            print(shown_name(image.name))
    return 0
