"""`werf buildah login`: credentials are proved to a registry, then kept."""

from __future__ import annotations

import os

from pywerf.cli.declare import argument, declared, flag, switch
from pywerf.cli.invocation import Invocation, engine_flags
from pywerf.cli.login import ask_credential, log_in, registry_key
from pywerf.errors import RegistryError

__all__ = ["command"]


@declared("login", usage_line="REGISTRY")
@flag("--authfile", metavar="FILE", env=("REGISTRY_AUTH_FILE",), help="File to keep the credentials in.")
@flag("--cert-dir", metavar="DIR", help="Directory with certificates and keys for the registry.")
@switch("--get-login", help="Print who is logged in.")
@flag("--password", "-p", metavar="PASSWORD", help="Password; better: --password-stdin.")
@switch("--password-stdin", help="Read the password from stdin.")
@switch("--tls-verify", default=None, help="Require HTTPS and a valid certificate (true by default).")
@flag("--username", "-u", metavar="USER", help="User name.")
@switch("--verbose", "-v", help="Say where the credentials are kept.")
@engine_flags
@argument("registry")
def command(
    run: Invocation,
    /,
    authfile: str,
    cert_dir: str,
    get_login: bool,
    password: str,
    password_stdin: bool,
    tls_verify: bool | None,
    username: str,
    verbose: bool,
    registry: str,
) -> int:
    """Log in to REGISTRY (HOST[:PORT], or HOST/PATH for a part of it)."""
    from pywerf.registry.access import RegistryAccess
    from pywerf.registry.login import default_auth_file
    from pywerf.registry.settings import RegistrySettings

    key = registry_key(registry)
    host, _, path = key.partition("/")
    settings = RegistrySettings(tls_verify=tls_verify, authfile=authfile, cert_dir=cert_dir)
    if get_login:
        # An auth file that is not there yet holds no login: no reason to fail otherwise.
        known = None
        if not authfile or os.path.exists(authfile):
            known = RegistryAccess(settings).credential(host, path)
        if known is None:
            raise RegistryError(f"not logged into {registry}")
        print(known.username)
        return 0
    kept_in = default_auth_file(settings, os.environ)
    log_in(key, ask_credential(username, password, password_stdin, run.secrets), settings, kept_in)
    print("Login Succeeded!")
    if verbose:
        print(f"Used:  {kept_in}")
    return 0
