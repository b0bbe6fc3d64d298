"""`werf managed-images rm`: takes images off the list."""

from __future__ import annotations

from typing import Any

from pywerf.cli.declare import argument, declared
from pywerf.cli.invocation import Invocation
from pywerf.cli.managed_images.records import image_names, managed_flags, open_records
from pywerf.errors import UsageError

__all__ = ["command"]


@declared("rm", usage_line="IMAGE…", short_help="Count images among the project's no more.")
@managed_flags
@argument("images", many=True, required=True, metavar="IMAGE…")
def command(run: Invocation, /, images: tuple[str, ...], **flags: Any) -> int:
    """Count images among the project's no more: the next cleanup deletes what only they need.

    An image that werf.yaml has comes back with the next build.
    """
    from difflib import get_close_matches

    from pywerf.build.project.storage.records import ManagedImage, managed_images
    from pywerf.config.werf_yaml.model import shown_name

    with open_records(run, flags) as records:
        known = managed_images(records)
        for record in map(ManagedImage, image_names(images)):
            if record not in known:
                near = get_close_matches(record.name, [one.name for one in known], 1)
                raise UsageError(
                    f"{shown_name(record.name)} is not among the managed images",
                    hint=f"did you mean {near[0]}?" if near else "werf managed-images ls shows them",
                )
        for record in map(ManagedImage, image_names(images)):
            records.delete(record.tag)
    return 0
