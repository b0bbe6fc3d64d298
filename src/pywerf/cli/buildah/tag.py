"""`werf buildah tag`: more names for an image."""

from __future__ import annotations

from collections.abc import Sequence

from pywerf.cli.declare import argument, declared
from pywerf.cli.invocation import Invocation, engine_flags

__all__ = ["command"]


@declared("tag", usage_line="IMAGE NAME...")
@engine_flags
@argument("image")
@argument("names", many=True, required=True, metavar="NAME...")
def command(run: Invocation, /, image: str, names: Sequence[str]) -> int:
    """Give an image one more name, or several. A name that another image has is taken from it."""
    with run.session() as session:
        session.tag(image, names)
    return 0
