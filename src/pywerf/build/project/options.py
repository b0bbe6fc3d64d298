"""What the command line says about a project: where it is, which commit is meant, what its templates see."""

from __future__ import annotations

import msgspec

__all__ = ["ProjectOptions"]


class ProjectOptions(msgspec.Struct, frozen=True):
    """The project flags (`--dir`, `--dev`, `--env` …). Empty: decided when the project is opened."""

    dir: str = ""
    git_work_tree: str = ""
    config: str = ""
    config_templates_dir: str = ".werf"
    config_render_path: str = ""
    giterminism_config: str = "werf-giterminism.yaml"
    loose_giterminism: bool = False
    env: str = ""
    project_name: str = ""
    dev: bool = False
    dev_branch: str = "_werf-dev"
    dev_ignore: tuple[str, ...] = ()
    debug_templates: bool = False
    allow_includes_update: bool = False
    platforms: tuple[str, ...] = ()
