"""What the commands of `werf compose` take: flags, images, and what follows `--`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from pywerf.cli.auto_cleanup import auto_cleanup_flags
from pywerf.cli.flags import Command, flag, switch
from pywerf.cli.invocation import engine_flags, progress_flags
from pywerf.cli.project_build import build_flags, use_report_flags
from pywerf.cli.project_flags import project_flags
from pywerf.cli.repo_flags import repo_flags
from pywerf.errors import UsageError

__all__ = ["ComposeCommand", "compose_flags"]

F = TypeVar("F", bound=Callable[..., Any])


class ComposeCommand(Command):
    """A command whose words before `--` are images; `arguments`, those after it, are for compose.

    `after` is what help calls them; without it there may be none.
    """

    def __init__(self, name: str | None, *, after: str = "", **attrs: Any) -> None:
        super().__init__(name, usage_line=f"[IMAGE…]{after and f' {after}'}", **attrs)
        self.after = after

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        place = args.index("--") if "--" in args else len(args)
        rest = super().parse_args(ctx, list(args[:place]))
        ctx.params["arguments"] = tuple(args[place + 1 :])
        if ctx.params["arguments"] and not self.after:
            raise UsageError(
                f"unexpected argument {ctx.params['arguments'][0]}: {ctx.command_path} takes images only",
                hint="--docker-compose-command-options passes words on to compose",
            )
        return rest


def compose_flags(*, stub_tags: bool = False) -> Callable[[F], F]:
    """All flags that the commands share, and the images. `stub_tags`: whether `--stub-tags` is the default."""
    default = " (true by default)" if stub_tags else ""
    decorators: tuple[Callable[[Any], Any], ...] = (
        flag("--docker-compose-options", metavar="OPTIONS", help="Options of docker compose: -f FILE, -p PROJECT."),
        flag("--docker-compose-command-options", metavar="OPTIONS", help="Options of docker compose's command."),
        flag(
            "--docker-compose-bin-path",
            metavar="FILE",
            help="The program (default: docker compose, or docker-compose where docker has no such command).",
        ),
        switch("--dry-run", help="Build, and print the variables and the command instead of running it."),
        switch("--stub-tags", default=stub_tags, help=f"Build nothing: every image is called STUB:TAG{default}."),
        switch("--without-images", help="Build nothing, and set no variable."),
        switch("--final-images-only", help="Only images with final: true."),
        flag("--backend-network", metavar="MODE", help="Network of RUN: host, none, or the backend's."),
        switch("--parallel", "-p", default=True, help="Build independent images at the same time (true by default)."),
        build_flags,
        use_report_flags,
        auto_cleanup_flags,
        project_flags,
        repo_flags,
        progress_flags,
        engine_flags,
        click.argument("images", nargs=-1, metavar="[IMAGE…]"),
    )

    def add(function: F) -> F:
        for one in reversed(decorators):
            function = one(function)
        return function

    return add
