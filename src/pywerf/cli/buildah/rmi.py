"""`werf buildah rmi`: removes names and images."""

from __future__ import annotations

from collections.abc import Sequence

from pywerf.cli.declare import argument, declared, switch
from pywerf.cli.invocation import Invocation, engine_flags
from pywerf.errors import UsageError

__all__ = ["command"]


@declared("rmi", usage_line="[IMAGE...]")
@switch("--all", "-a", "all_", help="Remove all images.")
@switch("--force", "-f", help="Remove an image with all its names.")
@switch("--prune", "-p", help="Remove the images that have no name.")
@engine_flags
@argument("images", many=True)
def command(run: Invocation, /, all_: bool, force: bool, prune: bool, images: Sequence[str]) -> int:
    """Remove images. A name alone is taken away as long as the image has others."""
    if all_ and images:
        raise UsageError("when using the --all switch, you may not pass any images names or IDs")
    if prune and images:
        raise UsageError("when using the --prune switch, you may not pass any images names or IDs")
    if all_ and prune:
        raise UsageError("when using the --all switch, you may not use --prune switch")
    if not (images or all_ or prune):
        raise UsageError("image name or ID must be specified")
    with run.session() as session:
        removed = session.remove(images, force=force, prune=prune, all=all_)
    for event in removed:
        print(f"untagged: {event.what}" if event.kind == "untagged" else event.what)
    return 0
