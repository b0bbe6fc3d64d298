"""`werf buildah login`: credentials are proved to a registry, then kept."""

from __future__ import annotations

import os
import sys

import click

from pywerf.cli.flags import Command, flag, switch
from pywerf.cli.invocation import engine_flags, invocation
from pywerf.cli.values import ask_password
from pywerf.errors import RegistryError, UsageError

__all__ = ["command", "registry_key"]


@click.command("login", cls=Command, usage_line="REGISTRY")
@flag("--authfile", metavar="FILE", env=("REGISTRY_AUTH_FILE",), help="File to keep the credentials in.")
@flag("--cert-dir", metavar="DIR", help="Directory with certificates and keys for the registry.")
@switch("--get-login", help="Print who is logged in.")
@flag("--password", "-p", metavar="PASSWORD", help="Password; better: --password-stdin.")
@switch("--password-stdin", help="Read the password from stdin.")
@switch("--tls-verify", default=None, help="Require HTTPS and a valid certificate (true by default).")
@flag("--username", "-u", metavar="USER", help="User name.")
@switch("--verbose", "-v", help="Say where the credentials are kept.")
@engine_flags
@click.argument("registry")
@click.pass_context
def command(
    ctx: click.Context,
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
    from pywerf.registry.credentials import Credential
    from pywerf.registry.login import default_auth_file, remember
    from pywerf.registry.settings import RegistrySettings

    run = invocation(ctx)
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
        click.echo(known.username)
        return 0
    if password and password_stdin:
        raise UsageError("--password and --password-stdin cannot be used together")
    if password_stdin and not username:
        raise UsageError("--password-stdin needs --username")
    if not username:
        username = _ask_user()
    if password_stdin:
        password = sys.stdin.read().rstrip("\r\n")
    elif not password:
        password = ask_password("Password: ")
    if not password:
        raise UsageError("the password is empty")
    run.secrets.append(password)
    proof = RegistrySettings(tls_verify=tls_verify, cert_dir=cert_dir, creds=f"{username}:{password}")
    RegistryAccess(proof).check_login(host)
    kept_in = default_auth_file(settings, os.environ)
    remember(key, Credential(username, password), kept_in, os.environ)
    click.echo("Login Succeeded!")
    if verbose:
        click.echo(f"Used:  {kept_in}")
    return 0


def registry_key(text: str) -> str:
    """`HOST[:PORT][/PATH]` from what people write, which may be a URL. Raises UsageError."""
    key = text.removeprefix("https://").removeprefix("http://").rstrip("/")
    host, slash, path = key.partition("/")
    if path in ("v1", "v2"):
        slash = path = ""
    if host in ("index.docker.io", "registry-1.docker.io"):
        host = "docker.io"
    if not host or any(character in key for character in " @?#"):
        raise UsageError(f"{text!r} is not a registry", hint="write HOST, HOST:PORT or HOST/PATH")
    return host + slash + path


def _ask_user() -> str:
    if not sys.stdin.isatty():
        raise UsageError("the user name is missing", hint="write --username USER --password-stdin")
    sys.stderr.write("Username: ")
    sys.stderr.flush()
    return sys.stdin.readline().strip()
