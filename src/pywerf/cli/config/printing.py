"""What `werf config render` and `werf config graph` share: a text about the images that patterns choose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from pywerf.cli.declare import Declared, argument, declared, switch
from pywerf.cli.invocation import Invocation, further_log_flags, log_flags
from pywerf.cli.project_flags import project_flags, project_options

if TYPE_CHECKING:
    from pywerf.build.project.project import Project

__all__ = ["printing"]


def printing(name: str, short_help: str, text_of: Callable[[Project, Sequence[str], bool], str]) -> Declared:
    """The command `name`; its help is the function's text. The function gets patterns, and --final-images-only."""

    @declared(name, usage_line="[IMAGE…]", short_help=short_help)
    @switch("--final-images-only", help="Only images with final: true.")
    @project_flags
    @log_flags
    @further_log_flags
    @argument("images", many=True)
    def command(run: Invocation, /, **flags: Any) -> int:
        from pywerf.build.project.project import open_project

        with run.reporter(quiet=not flags["debug_templates"]) as reporter:
            project = open_project(project_options(flags), reporter)
            text = text_of(project, flags["images"], flags["final_images_only"])
        print(text, end="" if text.endswith("\n") else "\n")
        return 0

    command.body.__doc__ = text_of.__doc__
    return command
