"""`werf buildah logout`: kept credentials are forgotten."""

from __future__ import annotations

import os

import click

from pywerf.cli.flags import Command, flag, switch
from pywerf.cli.invocation import engine_flags
from pywerf.cli.login import log_out
from pywerf.errors import UsageError

__all__ = ["command"]


@click.command("logout", cls=Command, usage_line="[REGISTRY]")
@switch("--all", "-a", "all_", help="Forget the credentials of all registries.")
@flag("--authfile", metavar="FILE", env=("REGISTRY_AUTH_FILE",), help="File that the credentials are kept in.")
@engine_flags
@click.argument("registry", default="")
def command(all_: bool, authfile: str, registry: str) -> int:
    """Log out of REGISTRY."""
    from pywerf.registry.login import default_auth_file, forget_all
    from pywerf.registry.settings import RegistrySettings

    path = default_auth_file(RegistrySettings(authfile=authfile), os.environ)
    if all_:
        if registry:
            raise UsageError("--all takes no registry")
        forget_all(path, os.environ)
        click.echo("Removed login credentials for all registries")
        return 0
    if not registry:
        raise UsageError("a registry must be given", hint="or --all")
    click.echo(f"Removed login credentials for {log_out(registry, path)}")
    return 0
