"""`werf version`. (`main.py` answers the bare command without loading this.)"""

from __future__ import annotations

from pywerf import __version__
from pywerf.cli.declare import declared
from pywerf.cli.invocation import Invocation

__all__ = ["command"]


@declared("version")
def command(run: Invocation, /) -> int:
    """Print the version."""
    print(__version__)
    return 0
