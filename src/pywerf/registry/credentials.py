"""Who we are for a registry: `--creds`, auth files (containers-auth.json(5)), docker's config.json, helpers."""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from pywerf.errors import RegistryConfigError
from pywerf.registry import credential_helpers
from pywerf.registry.settings import RegistrySettings

__all__ = ["AuthFile", "Credential", "auth_files", "find_credential", "host_of_key", "load_auth_file", "parse_creds"]

DOCKER_HUB_KEY = "https://index.docker.io/v1/"
_HUB_NAMES = ("docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com")


class Credential(msgspec.Struct, frozen=True):
    """A user of a registry: name and password, or an identity token for its token server."""

    username: str
    password: str = ""
    identity_token: str = ""

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be shown, in every form in which it is sent."""
        return (self.password, self.identity_token, self.basic().removeprefix("Basic "))

    def basic(self) -> str:
        """The Authorization header of Basic authentication (RFC 7617)."""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()

    def __repr__(self) -> str:
        return f"Credential(username={self.username!r}, ***)"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return [("username", self.username)]


class AuthFile(msgspec.Struct, frozen=True):
    """A parsed auth.json or config.json: keys are as written, `document` is the whole of it."""

    path: str
    document: dict[str, Any]
    auths: dict[str, Any]
    helpers: dict[str, str]
    store: str

    def __repr__(self) -> str:
        return f"AuthFile(path={self.path!r})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return [("path", self.path)]


def parse_creds(text: str) -> Credential:
    """Read `USER[:PASSWORD]`."""
    username, _, password = text.partition(":")
    if not username:
        raise RegistryConfigError("--creds has no user name", hint="write --creds USER:PASSWORD")
    return Credential(username, password)


def auth_files(settings: RegistrySettings, environ: Mapping[str, str]) -> tuple[tuple[str, ...], bool]:
    """The auth files to look into, in order, and whether the user has named one (then it must be there)."""
    named = settings.authfile or environ.get("REGISTRY_AUTH_FILE", "")
    if named:
        return (named,), bool(settings.authfile)
    files = []
    own = environ.get("WERF_DOCKER_CONFIG", "")
    if own:
        # that of a CI job, or the one named on the command line: it knows better than what is left of other logins
        files.append(os.path.join(own, "config.json"))
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    if runtime:
        files.append(os.path.join(runtime, "containers/auth.json"))
    else:
        files.append(f"/run/containers/{os.getuid()}/auth.json")
    home = environ.get("HOME", "")
    configs = environ.get("XDG_CONFIG_HOME", "") or (os.path.join(home, ".config") if home else "")
    if configs:
        files.append(os.path.join(configs, "containers/auth.json"))
    docker = environ.get("DOCKER_CONFIG", "") or (os.path.join(home, ".docker") if home else "")
    if docker:
        files.append(os.path.join(docker, "config.json"))
    return tuple(files), False


def find_credential(
    host: str,
    repository: str,
    settings: RegistrySettings,
    environ: Mapping[str, str],
    helpers: Sequence[str] = (),
) -> Credential | None:
    """The credential for a repository: of the most specific key of the first file that has one.

    `helpers` are the `credential-helpers` of registries.conf; `containers-auth.json` in it (and its
    absence as a whole) means the files. Raises RegistryConfigError for files and helpers that fail.
    """
    if settings.creds:
        return parse_creds(settings.creds)
    for helper in helpers or ("containers-auth.json",):
        if helper != "containers-auth.json":
            found = _from_helper(helper, host, environ)
        else:
            found = _from_files(host, repository, settings, environ)
        if found is not None:
            return found
    return None


def _from_files(
    host: str, repository: str, settings: RegistrySettings, environ: Mapping[str, str]
) -> Credential | None:
    paths, required = auth_files(settings, environ)
    for path in paths:
        auth_file = load_auth_file(path, required=required)
        if auth_file is None:
            continue
        found = _in_file(auth_file, host, repository, environ)
        if found is not None:
            return found
    return None


def load_auth_file(path: str, *, required: bool = False) -> AuthFile | None:
    """Read an auth file; None when there is none (an error when `required`) or when it is empty."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except (FileNotFoundError, NotADirectoryError):
        if required:
            raise RegistryConfigError(f"{path}: no such auth file", hint="log in, or give another --authfile") from None
        return None
    except PermissionError:
        if required:
            raise RegistryConfigError(f"{path}: permission denied") from None
        return None  # another user's file, as in a root shell's leftover environment
    except OSError as error:
        raise RegistryConfigError(f"{path}: {(error.strerror or str(error)).lower()}") from error
    if not data.strip():
        return None
    try:
        document = json.loads(data)
    except json.JSONDecodeError as error:
        # never the text itself: it may be a secret
        raise RegistryConfigError(f"{path}:{error.lineno}: not valid JSON: {error.msg}") from None
    except (ValueError, RecursionError):
        raise RegistryConfigError(f"{path}:1: not valid JSON") from None
    return _checked(path, document)


def _checked(path: str, document: object) -> AuthFile:
    if not isinstance(document, dict):
        raise RegistryConfigError(f"{path}:1: expected a JSON object")
    auths = document.get("auths") or {}
    helpers = document.get("credHelpers") or {}
    store = document.get("credsStore") or ""
    if not isinstance(auths, dict):
        raise RegistryConfigError(f'{path}: "auths" is not an object')
    if not isinstance(helpers, dict) or not all(isinstance(item, str) for item in helpers.values()):
        raise RegistryConfigError(f'{path}: "credHelpers" is not an object of strings')
    if not isinstance(store, str):
        raise RegistryConfigError(f'{path}: "credsStore" is not a string')
    return AuthFile(path, document, auths, helpers, store)


def _in_file(auth_file: AuthFile, host: str, repository: str, environ: Mapping[str, str]) -> Credential | None:
    keys = _keys(host, repository)
    for key in keys:
        helper = auth_file.helpers.get(key)
        if helper:
            return _from_helper(helper, key, environ)
    if auth_file.store:
        found = _from_helper(auth_file.store, host, environ)
        if found is not None:
            return found
    for key in keys:
        if key in auth_file.auths:
            found = _entry(auth_file.path, key, auth_file.auths[key])
            if found is not None:
                return found
    for key, entry in auth_file.auths.items():
        if host_of_key(key) == host:
            found = _entry(auth_file.path, key, entry)
            if found is not None:
                return found
    return None


def _keys(host: str, repository: str) -> tuple[str, ...]:
    """The keys that stand for a repository, the most specific first: host/a/b, host/a, host."""
    parts = repository.split("/") if repository else []
    return tuple("/".join([host, *parts[:count]]) for count in range(len(parts), -1, -1))


def host_of_key(key: str) -> str | None:
    """The host of a key in docker's old forms (`https://HOST/v1/`), or of a plain host; None for a host/path key."""
    _, separator, rest = key.partition("://")
    if not separator:
        rest = key
    host, _, path = rest.partition("/")
    if not separator and path.strip("/") not in ("", "v1", "v2"):
        return None
    return "docker.io" if host in _HUB_NAMES else host


def _entry(path: str, key: str, entry: object) -> Credential | None:
    if not isinstance(entry, dict):
        raise RegistryConfigError(f"{path}: the entry of {key} is not an object")
    token = entry.get("identitytoken") or ""
    auth = entry.get("auth") or ""
    if not isinstance(token, str) or not isinstance(auth, str):
        raise RegistryConfigError(f"{path}: the entry of {key} is not made of strings")
    username, password = str(entry.get("username") or ""), str(entry.get("password") or "")
    if auth:
        try:
            username, colon, password = base64.b64decode(auth, validate=True).decode().partition(":")
        except (binascii.Error, ValueError):
            raise RegistryConfigError(f"{path}: the auth of {key} is not base64", hint="log in again") from None
        if not colon:
            raise RegistryConfigError(f"{path}: the auth of {key} is not USER:PASSWORD in base64", hint="log in again")
        password = password.strip("\x00")
    if not username and not token:
        return None  # docker's mark that a helper knows more
    return Credential(username, password, token)


def _from_helper(helper: str, host: str, environ: Mapping[str, str]) -> Credential | None:
    servers = (DOCKER_HUB_KEY, host) if host == "docker.io" else (host,)
    for server in servers:
        found = credential_helpers.get(helper, server, environ)
        if found is not None:
            username, secret = found
            if username == "<token>":
                return Credential("", "", secret)
            return Credential(username, secret)
    return None
