"""`werf slugify`: a text as a valid name."""

from __future__ import annotations

from pywerf.cli.declare import argument, declared, flag
from pywerf.cli.invocation import Invocation
from pywerf.errors import UsageError
from pywerf.util.slug import SLUG_KINDS, slug

__all__ = ["command"]


@declared("slugify")
@flag("--format", "-f", "format_", metavar="FORMAT", help=f"One of {', '.join(SLUG_KINDS)}.")
@argument("text")
def command(run: Invocation, /, format_: str, text: str) -> int:
    """Print TEXT as it is valid for its purpose: unchanged where it can be, else mapped, cut and with a hash."""
    kind = next((kind for kind in SLUG_KINDS if kind == format_), None)
    if kind is None:
        raise UsageError(
            f"--format {format_!r} is no kind of name" if format_ else "--format is missing",
            hint=f"it is one of {', '.join(SLUG_KINDS)}",
        )
    print(slug(text, kind))
    return 0
