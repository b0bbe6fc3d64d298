"""`--follow`: the command again for each new commit, or with --dev for each change of the work tree."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from pywerf.errors import UsageError, WerfError
from pywerf.source.git_project import GitProject
from pywerf.util.globs import covers

if TYPE_CHECKING:
    from pywerf.build.project.options import ProjectOptions
    from pywerf.util.events import Reporter

__all__ = ["follow", "state_of"]

INTERVAL = 1.0


def state_of(options: ProjectOptions) -> str:
    """The commit that a build would take now. Raises GitError."""
    git = GitProject(options.dir, options.git_work_tree)
    if not options.dev:
        return git.head()
    from pywerf.source.git_dev import dev_commit

    try:
        ignored = covers(options.dev_ignore) if options.dev_ignore else None
    except ValueError as error:
        raise UsageError(f"--dev-ignore: {error}") from error
    return dev_commit(git, branch=options.dev_branch, ignored=ignored)[0]


def follow(
    options: ProjectOptions,
    work: Callable[[], object],
    reporter: Reporter,
    tell: Callable[[WerfError], None],
    *,
    wait: Callable[[], bool] | None = None,
) -> None:
    """Do the work now, and again whenever there is something new. An error ends the first run; later ones are told.

    `wait` waits a moment, and says whether to go on; by default a second, for ever.
    """
    seen = state_of(options)
    work()
    reporter.message("info", "waiting for changes" if options.dev else "waiting for new commits")
    while wait() if wait is not None else _a_second():
        try:
            now = state_of(options)
        except WerfError as error:
            tell(error)
            continue
        if now == seen:
            continue
        seen = now
        reporter.message("info", f"commit {now[:12]}")
        try:
            work()
        except WerfError as error:
            tell(error)


def _a_second() -> bool:
    time.sleep(INTERVAL)
    return True
