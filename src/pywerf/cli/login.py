"""What the commands that log in and out share: who somebody is, and that a registry agrees."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from pywerf.cli.values import ask_password
from pywerf.errors import RegistryError, UsageError

if TYPE_CHECKING:
    from pywerf.registry.credentials import Credential
    from pywerf.registry.settings import RegistrySettings

__all__ = ["ask_credential", "log_in", "log_out", "registry_key"]


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


def ask_credential(username: str, password: str, password_stdin: bool, secrets: list[str]) -> Credential:
    """The user and the password: given, on stdin, or asked for on the terminal. The password joins `secrets`."""
    from pywerf.registry.credentials import Credential

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
    secrets.append(password)
    return Credential(username, password)


def log_in(key: str, credential: Credential, settings: RegistrySettings, path: str, *, kept_as: str = "") -> None:
    """Prove a credential to the registry of `key`, and keep it in the auth file `path`, as `kept_as` if that is given.

    Raises RegistryError.
    """
    from msgspec.structs import replace

    from pywerf.registry.access import RegistryAccess
    from pywerf.registry.login import remember

    proof = replace(settings, authfile="", creds=f"{credential.username}:{credential.password}")
    RegistryAccess(proof).check_login(key.partition("/")[0])
    remember(kept_as or key, credential, path, os.environ)


def log_out(registry: str, path: str) -> str:
    """Forget the credentials of a registry; its key. Raises RegistryError when there are none."""
    from pywerf.registry.login import forget

    key = registry_key(registry)
    if not forget(key, path, os.environ):
        raise RegistryError(f"not logged into {registry}")
    return key


def _ask_user() -> str:
    if not sys.stdin.isatty():
        raise UsageError("the user name is missing", hint="write --username USER --password-stdin")
    sys.stderr.write("Username: ")
    sys.stderr.flush()
    return sys.stdin.readline().strip()
