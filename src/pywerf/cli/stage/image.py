"""`werf stage image`: what an image's last stage is called."""

from __future__ import annotations

from typing import Any

from pywerf.cli.declare import argument, declared
from pywerf.cli.invocation import Invocation, engine_flags, progress_flags
from pywerf.cli.project_build import build_flags, opened_project
from pywerf.cli.project_flags import project_flags
from pywerf.cli.ready_images import only_image
from pywerf.cli.repo_flags import repo_flags
from pywerf.errors import UsageError

__all__ = ["command"]


@declared("image", usage_line="[IMAGE]", short_help="Print the name of an image's last stage.")
@build_flags
@project_flags
@repo_flags
@progress_flags
@engine_flags
@argument("image", default="")
def command(run: Invocation, /, **flags: Any) -> int:
    """Print the full name of the last stage of IMAGE, or of the only final image. It must have been built."""
    flags.update(check_built_images=True, parallel=False, backend_network="")
    with run.reporter(quiet=True) as reporter, opened_project(run, flags, reporter) as opened:
        name = only_image(opened.project.images, flags["image"])
        built = next(image for image in opened.build((name,)) if image.name == name)
        if built.result is None:
            raise UsageError(
                f"image {name} is for several platforms, and has no index", hint="choose one with --platform"
            )
        print(built.result.name)
    return 0
