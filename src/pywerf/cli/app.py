"""The root of the commands."""

from __future__ import annotations

from pywerf.cli.declare import declared_group, switch
from pywerf.cli.invocation import Invocation, engine_flags

__all__ = ["app"]

_COMMANDS = {
    "build": ("pywerf.cli.build", "Build the images of a project, or of a Dockerfile."),
    "buildah": ("pywerf.cli.buildah", "Build and handle images with the embedded engine, as buildah does."),
    "cleanup": ("pywerf.cli.cleanup", "Delete what a project's repository need not keep."),
    "purge": ("pywerf.cli.purge", "Delete everything of a project in its repository."),
    "managed-images": ("pywerf.cli.managed_images", "The images that cleanup counts among a project's."),
    "host": ("pywerf.cli.host", "Examine this machine; keep its store within limits."),
    "run": ("pywerf.cli.run", "Run a command in a container of an image."),
    "compose": ("pywerf.cli.compose", "Call docker compose with the images of a project."),
    "export": ("pywerf.cli.export", "Copy images of a project to names of their own."),
    "stages": ("pywerf.cli.stages", "Copy stages between repositories and archives."),
    "stage": ("pywerf.cli.stage", "Tell what the stages of images are called."),
    "synchronization": ("pywerf.cli.synchronization", "Serve locks to the builders of many hosts."),
    "slugify": ("pywerf.cli.slugify", "Print a text as a valid name."),
    "cr": ("pywerf.cli.cr", "Log in to a container registry, and out."),
    "ci-env": ("pywerf.cli.ci_env", "Print a CI job's variables as werf's."),
    "includes": ("pywerf.cli.includes", "Files of other repositories for a project's configuration."),
    "config": ("pywerf.cli.config", "Look at a project's configuration."),
    "completion": ("pywerf.cli.completion", "Print a shell's completion script."),
    "version": ("pywerf.cli.version", "Print the version."),
}


@declared_group("werf", _COMMANDS, epilog="Every flag --some-name has a variable WERF_SOME_NAME.")
@engine_flags
@switch("--version", "-v", "show_version", own_scalar=False, help="Print the version.")
def app(run: Invocation, show_version: bool) -> str | None:
    """Builds container images: no daemon, no root, no foreign binary."""
    if not show_version:
        return None
    from pywerf import __version__

    return f"werf version {__version__}"
