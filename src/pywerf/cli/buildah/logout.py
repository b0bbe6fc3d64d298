"""`werf buildah logout`: kept credentials are forgotten."""

from __future__ import annotations

import os

from pywerf.cli.declare import argument, declared, flag, switch
from pywerf.cli.invocation import Invocation, engine_flags
from pywerf.cli.login import log_out
from pywerf.errors import UsageError

__all__ = ["command"]


@declared("logout", usage_line="[REGISTRY]")
@switch("--all", "-a", "all_", help="Forget the credentials of all registries.")
@flag("--authfile", metavar="FILE", env=("REGISTRY_AUTH_FILE",), help="File that the credentials are kept in.")
@engine_flags
@argument("registry", default="")
def command(run: Invocation, /, all_: bool, authfile: str, registry: str) -> int:
    """Log out of REGISTRY."""
    from pywerf.registry.login import default_auth_file, forget_all
    from pywerf.registry.settings import RegistrySettings

    path = default_auth_file(RegistrySettings(authfile=authfile), os.environ)
    if all_:
        if registry:
            raise UsageError("--all takes no registry")
        forget_all(path, os.environ)
        print("Removed login credentials for all registries")
        return 0
    if not registry:
        raise UsageError("a registry must be given", hint="or --all")
    print(f"Removed login credentials for {log_out(registry, path)}")
    return 0
