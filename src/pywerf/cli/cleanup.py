"""`werf cleanup`: deletes what a project does not need of its repository any more."""

from __future__ import annotations

from typing import Any

from pywerf.cli.declare import COUNT, declared, flag, switch
from pywerf.cli.deletion import deletion_flags, jobs, need_repo, open_repositories, print_plan, report_path
from pywerf.cli.invocation import Invocation, further_log_flags, log_flags, progress_flags
from pywerf.cli.project_flags import project_flags, project_options
from pywerf.cli.repo_flags import repo_flags
from pywerf.cli.vendor_flags import vendor_flags
from pywerf.errors import UsageError

__all__ = ["command"]

# Of the search for images that clusters run. There is no client for them: --without-kube is asked for, and these are
# taken without effect, since jobs have their variables set for other commands.
_KUBE = (
    flag("--kube-config", hidden=True),
    flag("--kube-config-base64", hidden=True),
    flag("--kube-context", hidden=True),
    flag("--kube-api-server", hidden=True),
    flag("--kube-token", hidden=True),
    flag("--kube-token-path", hidden=True),
    flag("--kube-ca-data", hidden=True),
    flag("--kube-scan-namespaces", hidden=True),
    flag("--scan-context-only", hidden=True),
    switch("--scan-context-namespace-only", hidden=True),
    switch("--skip-tls-verify-kube", hidden=True),
)


def _kube_flags(function: Any) -> Any:
    for one in reversed(_KUBE):
        function = one(function)
    return function


@declared("cleanup", usage_line="", short_help="Delete what a project's repository need not keep.")
@flag(
    "--keep-stages-built-within-last-n-hours",
    type=COUNT,
    default=None,
    metavar="HOURS",
    help="Younger stages stay (default: werf.yaml's, else 2; 0: age is no reason).",
)
@flag("--keep-list", metavar="FILE", help="File with a tag a line, of stages or custom ones, that stay.")
@switch("--without-kube", help="Do not ask clusters which images they run (needed: there is no client for them yet).")
@deletion_flags
@project_flags
@repo_flags
@vendor_flags
@_kube_flags
@progress_flags
@log_flags
@further_log_flags
def command(run: Invocation, /, **flags: Any) -> int:
    """Delete the stages, custom tags and records of --repo that the project needs no more.

    What stays: the images of the branches and tags of origin, as many as cleanup.keepPolicies in werf.yaml says; what
    was built lately; what the keep list names; and what these need. Everything else goes, in the final repo, too.

    Try it with --dry-run. Only tags and manifests are deleted: room is made by the registry's garbage collector.
    """
    from pywerf.build.cleanup.run import CleanupOptions, clean_up
    from pywerf.build.project.project import open_project

    need_repo(flags, "cleanup")
    options = CleanupOptions(
        dry_run=flags["dry_run"],
        jobs=jobs(flags),
        hours=flags["keep_stages_built_within_last_n_hours"],
        keep_list=_keep_list(flags["keep_list"]),
        without_kube=flags["without_kube"],
        report=report_path(flags),
    )
    with run.reporter() as reporter:
        project = open_project(project_options(flags), reporter)
        name = project.config.meta.project
        with (
            open_repositories(run, flags, name, reporter) as opened,
            opened.locked(dry_run=options.dry_run),
        ):
            done = clean_up(project, opened.repo, opened.final, options, reporter)
    print_plan(done, dry_run=options.dry_run, verbose=run.verbosity in ("verbose", "debug"))
    return 0


def _keep_list(path: str) -> tuple[str, ...]:
    if not path:
        return ()
    try:
        with open(path, encoding="utf-8") as file:
            lines = [line.strip() for line in file]
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not a text in UTF-8"
        raise UsageError(f"--keep-list {path}: {why}") from error
    return tuple(line for line in lines if line and not line.startswith("#"))
