"""The root of the commands. Importing this imports click, so `main.py` does it as late as it can."""

from __future__ import annotations

import click

from pywerf.cli.invocation import engine_flags
from pywerf.cli.lazy import LazyGroup

__all__ = ["app"]

_COMMANDS = {
    "build": ("pywerf.cli.build", "Build the images of a project, or of a Dockerfile."),
    "buildah": ("pywerf.cli.buildah", "Build and handle images with the embedded engine, as buildah does."),
    "host": ("pywerf.cli.host", "Examine this machine; keep its store within limits."),
    "run": ("pywerf.cli.run", "Run a command in a container of an image."),
    "synchronization": ("pywerf.cli.synchronization", "Serve locks to the builders of many hosts."),
    "slugify": ("pywerf.cli.slugify", "Print a text as a valid name."),
    "config": ("pywerf.cli.config", "Look at a project's configuration."),
    "completion": ("pywerf.cli.completion", "Print a shell's completion script."),
    "version": ("pywerf.cli.version", "Print the version."),
}


@click.group(
    "werf",
    cls=LazyGroup,
    table=_COMMANDS,
    epilog="Every flag --some-name has a variable WERF_SOME_NAME.",
)
@engine_flags
@click.option("--version", "-v", "show_version", is_flag=True, help="Print the version.")
@click.pass_context
def app(ctx: click.Context, show_version: bool) -> None:
    """Builds container images: no daemon, no root, no foreign binary."""
    if show_version:
        from pywerf import __version__

        click.echo(f"werf version {__version__}")
        ctx.exit()
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
