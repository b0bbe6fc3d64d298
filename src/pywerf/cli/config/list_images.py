"""`werf config list`: one name of an image a line."""

from __future__ import annotations

from typing import Any

from pywerf.cli.declare import declared, switch
from pywerf.cli.invocation import Invocation, further_log_flags, log_flags
from pywerf.cli.project_flags import project_flags, project_options

__all__ = ["command"]


@declared("list", short_help="Print the names of the images.")
@switch("--final-images-only", help="Only images with final: true.")
@project_flags
@log_flags
@further_log_flags
def command(run: Invocation, /, **flags: Any) -> int:
    """Print the names of the images in werf.yaml, one a line; ~ is the image without a name."""
    from pywerf.build.project.project import open_project
    from pywerf.config.werf_yaml.model import shown_name

    with run.reporter(quiet=True) as reporter:
        project = open_project(project_options(flags), reporter)
    for name in project.images(final_only=flags["final_images_only"]):
        print(shown_name(name))
    return 0
