"""The flags of all commands that work on a project, and what they come to."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from pywerf.build.project.options import ProjectOptions
from pywerf.cli.declare import flag, switch
from pywerf.errors import UsageError

if TYPE_CHECKING:
    from pywerf.util.events import Reporter

__all__ = ["has_config", "project_flags", "project_flags_but_env", "project_name", "project_options"]

F = TypeVar("F", bound=Callable[..., Any])

_CONFIGS = ("werf.yaml", "werf.yml", "werf-includes.yaml")  # the last may bring one of the others

_ENV = flag("--env", metavar="NAME", help="Name of the environment, which templates see as .Env.")
_FLAGS: tuple[Callable[[Any], Any], ...] = (
    flag("--dir", "dir_", metavar="DIR", help="Project directory, in the git work tree (default: the current one)."),
    flag("--git-work-tree", metavar="DIR", help="Root of the git work tree (default: found from the directory up)."),
    flag("--config", metavar="FILE", help="Configuration in the project directory (default: werf.yaml, werf.yml)."),
    flag("--config-templates-dir", default=".werf", metavar="DIR", help="Directory of *.tmpl files."),
    flag("--config-render-path", own_scalar=False, metavar="FILE", help="File for the rendered configuration."),
    flag("--giterminism-config", default="werf-giterminism.yaml", metavar="FILE", help="What the project permits."),
    switch("--loose-giterminism", help="Read the configuration from the work tree, and permit everything."),
    _ENV,
    flag("--project-name", "-N", metavar="NAME", help="Name of the project instead of that in werf.yaml."),
    switch("--dev", help="Build the work tree as it is, by a commit on a branch of its own."),
    flag("--dev-branch", default="_werf-dev", metavar="NAME", help="The branch for --dev."),
    flag("--dev-ignore", multiple=True, metavar="GLOB", help="Files that --dev leaves out."),
    switch("--allow-includes-update", help="Take the newest commits of werf-includes.yaml."),
    flag(
        "--home-dir",
        own_scalar=False,
        env=("WERF_HOME",),
        metavar="DIR",
        help="Directory for caches (default: ~/.werf).",
    ),
    flag("--tmp-dir", metavar="DIR", help="Directory for temporary files (default: the system's)."),
    switch("--log-project-dir", help="Tell the project directory first."),
    switch("--debug-templates", help="Let the *_debug functions of templates print; tell more of errors in templates."),
)


def project_flags(function: F) -> F:
    """All of them, for a command; `project_options` makes options of their values."""
    for one in reversed(_FLAGS):
        function = one(function)
    return function


def project_flags_but_env(function: F) -> F:
    """All but `--env`, for a command that has a meaning of its own for that."""
    for one in reversed(_FLAGS):
        if one is not _ENV:
            function = one(function)
    return function


def has_config(folder: str, config: str) -> bool:
    """Whether a folder is that of a project: a configuration is named, or there."""
    return bool(config) or any(os.path.lexists(os.path.join(folder, name)) for name in _CONFIGS)


def project_options(flags: Mapping[str, Any], platforms: tuple[str, ...] = ()) -> ProjectOptions:
    """The options that the values of the flags are. `--tmp-dir` counts for all that runs in this process."""
    if flags["tmp_dir"]:
        if not os.path.isdir(flags["tmp_dir"]):
            raise UsageError(f"--tmp-dir {flags['tmp_dir']}: no such directory")
        os.environ["TMPDIR"] = os.path.abspath(flags["tmp_dir"])
    return ProjectOptions(
        dir=flags["dir_"],
        git_work_tree=flags["git_work_tree"],
        config=flags["config"],
        config_templates_dir=flags["config_templates_dir"],
        config_render_path=flags["config_render_path"],
        giterminism_config=flags["giterminism_config"],
        loose_giterminism=flags["loose_giterminism"],
        env=flags["env"],
        project_name=flags["project_name"],
        dev=flags["dev"],
        dev_branch=flags["dev_branch"],
        dev_ignore=tuple(flags["dev_ignore"]),
        virtual_merge=flags.get("virtual_merge", False),
        debug_templates=flags["debug_templates"],
        allow_includes_update=flags["allow_includes_update"],
        platforms=platforms,
        home_dir=flags["home_dir"],
        tell_directory=flags["log_project_dir"],
        staged=os.environ.get("WERF_FORCE_STAGED_DOCKERFILE", "") in ("1", "true"),
        staged_version=_staged_version(),
    )


def _staged_version() -> str:
    version = os.environ.get("WERF_STAGED_DOCKERFILE_VERSION", "") or "v1"
    if version not in ("v1", "v2"):
        raise UsageError(f"WERF_STAGED_DOCKERFILE_VERSION={version}: the schemes of staged images are v1 and v2")
    return version


def project_name(flags: Mapping[str, Any], reporter: Reporter) -> str:
    """The project's name: as the command line has it, else of its werf.yaml, which is not read before that."""
    if flags["project_name"]:
        from pywerf.config.werf_yaml.meta import check_project_name

        why = check_project_name(flags["project_name"])
        if why:
            raise UsageError(f"--project-name {flags['project_name']}: {why}")
        return str(flags["project_name"])
    from pywerf.build.project.project import open_project

    return open_project(project_options(flags), reporter).config.meta.project
