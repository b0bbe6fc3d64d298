"""`werf buildah untag`: names are taken from an image, the image stays."""

from __future__ import annotations

from collections.abc import Sequence

from pywerf.cli.declare import argument, declared
from pywerf.cli.invocation import Invocation, engine_flags

__all__ = ["command"]


@declared("untag", usage_line="IMAGE [NAME...]")
@engine_flags
@argument("image")
@argument("names", many=True)
def command(run: Invocation, /, image: str, names: Sequence[str]) -> int:
    """Take names from an image; without NAME all of them. The image itself stays."""
    with run.session() as session:
        session.untag(image, names)
    return 0
