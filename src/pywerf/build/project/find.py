"""Finds a project's repository. Apart from what reads the project, so that the look at the work tree begins early."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pywerf.source.git_project import GitProject
from pywerf.util.home import werf_home

if TYPE_CHECKING:
    from pywerf.build.project.options import ProjectOptions

__all__ = ["find_project"]


def find_project(options: ProjectOptions) -> GitProject:
    """The project's repository, whose work tree is looked at from now on. Raises GitError."""
    memory = os.path.join(werf_home(options.home_dir), "git-status")
    git = GitProject(options.dir, options.git_work_tree, memory=memory)
    if not options.loose_giterminism:
        git.look()
    return git
