"""`werf managed-images add`: puts images on the list."""

from __future__ import annotations

from typing import Any

from pywerf.cli.declare import argument, declared
from pywerf.cli.invocation import Invocation
from pywerf.cli.managed_images.records import image_names, managed_flags, open_records

__all__ = ["command"]


@declared("add", usage_line="IMAGE…", short_help="Count images among the project's.")
@managed_flags
@argument("images", many=True, required=True, metavar="IMAGE…")
def command(run: Invocation, /, images: tuple[str, ...], **flags: Any) -> int:
    """Count images among the project's, though werf.yaml does not have them (~: the image without a name)."""
    from pywerf.build.project.storage.records import ManagedImage, managed_images

    with open_records(run, flags) as records:
        known = managed_images(records)
        for record in map(ManagedImage, image_names(images)):
            if record not in known:
                records.write(record.tag, record.labels)
    return 0
