"""`werf buildah`: stands in for the `buildah` command, as far as its sub-commands are listed here."""

from __future__ import annotations

from pywerf.cli.declare import declared_group, switch
from pywerf.cli.invocation import Invocation, engine_flags

__all__ = ["FAILURE", "command"]

# buildah's exit code of every failure that is not the status of a container.
FAILURE = 125

_COMMANDS = {
    "build": ("pywerf.cli.buildah.build", "Build an image from a Dockerfile (also: bud, build-using-dockerfile)."),
    "explain": ("pywerf.cli.buildah.explain", "Show why the steps of a build were cached or not."),
    "history": ("pywerf.cli.buildah.history", "Show the steps that an image was made by."),
    "images": ("pywerf.cli.buildah.images", "List the images of the store."),
    "info": ("pywerf.cli.buildah.info", "Show what is known of the host and the store."),
    "inspect": ("pywerf.cli.buildah.inspect", "Show the configuration of an image."),
    "login": ("pywerf.cli.buildah.login", "Log in to a registry."),
    "logout": ("pywerf.cli.buildah.logout", "Log out of a registry."),
    "prune": ("pywerf.cli.buildah.prune", "Remove what nothing needs any more."),
    "pull": ("pywerf.cli.buildah.pull", "Pull an image."),
    "push": ("pywerf.cli.buildah.push", "Push an image to a registry, an archive, a layout or a daemon."),
    "rmi": ("pywerf.cli.buildah.rmi", "Remove images from the store."),
    "tag": ("pywerf.cli.buildah.tag", "Add names to an image."),
    "unshare": ("pywerf.cli.buildah.unshare", "Run a command in the user namespace of the store."),
    "untag": ("pywerf.cli.buildah.untag", "Remove names of an image."),
    "version": ("pywerf.cli.buildah.version", "Print the version."),
}


@declared_group("buildah", _COMMANDS, aliases={"bud": "build", "build-using-dockerfile": "build"})
@engine_flags
@switch("--version", "-v", "show_version", own_scalar=False, help="Print the version.")
def command(run: Invocation, show_version: bool) -> str | None:
    """Builds and handles images with the embedded engine, as the buildah command does."""
    run.failure_code = FAILURE
    if not show_version:
        return None
    from pywerf import __version__

    return f"werf version {__version__} (buildah 1.28)"
