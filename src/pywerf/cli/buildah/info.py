"""`werf buildah info`: what is known of the host and the store."""

from __future__ import annotations

from pywerf.cli.declare import declared, flag, switch
from pywerf.cli.invocation import Invocation, engine_flags
from pywerf.cli.tables import print_object

__all__ = ["command"]


@declared("info")
@switch("--debug", "-d", help="Show versions, too.")
@flag("--format", "format_", metavar="TEMPLATE", help="Show by a Go template.")
@engine_flags
def command(run: Invocation, /, debug: bool, format_: str) -> int:
    """Show what is known of the host and the store, as JSON."""
    with run.session() as session:
        info = dict(session.info())
    if debug:
        import platform

        from pywerf import __version__

        info["debug"] = {
            "compiler": platform.python_implementation(),
            "python version": platform.python_version(),
            "werf version": __version__,
        }
    print_object(info, format_)
    return 0
