"""What `werf config render` and `werf config graph` share: a text about the images that patterns choose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from pywerf.cli.flags import Command, switch
from pywerf.cli.invocation import invocation, log_flags
from pywerf.cli.project_flags import project_flags, project_options

if TYPE_CHECKING:
    from pywerf.build.project.project import Project

__all__ = ["printing"]


def printing(name: str, short_help: str, text_of: Callable[[Project, Sequence[str], bool], str]) -> click.Command:
    """The command `name`; its help is the function's text. The function gets patterns, and --final-images-only."""

    @click.command(name, cls=Command, usage_line="[IMAGE…]", short_help=short_help, help=text_of.__doc__)
    @switch("--final-images-only", help="Only images with final: true.")
    @project_flags
    @log_flags
    @click.argument("images", nargs=-1, metavar="[IMAGE…]")
    @click.pass_context
    def command(ctx: click.Context, /, **flags: Any) -> None:
        from pywerf.build.project.project import open_project

        with invocation(ctx).reporter(quiet=not flags["debug_templates"]) as reporter:
            project = open_project(project_options(flags), reporter)
            text = text_of(project, flags["images"], flags["final_images_only"])
        click.echo(text, nl=not text.endswith("\n"))

    return command
