"""`--follow` of the commands that have it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from pywerf.cli.project_build import chosen_options
from pywerf.errors import UsageError, WerfError

if TYPE_CHECKING:
    from pywerf.cli.invocation import Invocation
    from pywerf.util.events import Reporter

__all__ = ["follow_project"]


def follow_project(run: Invocation, flags: Mapping[str, Any], reporter: Reporter, work: Callable[[], object]) -> None:
    """Do the work, and again for each new commit, with `--dev` for each change.

    Ends by a signal, or by an error of the first time; later ones are told.
    """
    from pywerf.build.project.follow import follow
    from pywerf.cli.failures import explain

    if flags.get("use_build_report"):
        raise UsageError("--follow and --use-build-report cannot be used together")

    def tell(error: WerfError) -> None:
        print(explain(error, secrets=run.secrets), file=sys.stderr)

    follow(chosen_options(flags), work, reporter, tell)
