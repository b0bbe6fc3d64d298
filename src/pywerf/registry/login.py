"""Logging in and out: credentials are proved to the registry, then written to an auth file or given to a helper."""

from __future__ import annotations

import base64
import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

from pywerf.errors import RegistryConfigError
from pywerf.registry import credential_helpers
from pywerf.registry.credentials import (
    DOCKER_HUB_KEY,
    AuthFile,
    Credential,
    auth_files,
    host_of_key,
    load_auth_file,
)
from pywerf.registry.settings import RegistrySettings

__all__ = ["default_auth_file", "forget", "forget_all", "remember"]


def default_auth_file(settings: RegistrySettings, environ: Mapping[str, str]) -> str:
    """The file that a login goes to: the first that is looked into."""
    return auth_files(settings, environ)[0][0]


def remember(key: str, credential: Credential, path: str, environ: Mapping[str, str]) -> None:
    """Keep a credential for a key (`HOST` or `HOST/PATH`) in the auth file `path`, or in the helper that it names.

    Atomic: other processes see the old file or the new one, whose mode is 0600.
    """
    with _locked(path):
        auth_file = load_auth_file(path) or AuthFile(path, {}, {}, {}, "")
        helper = auth_file.helpers.get(key, "") or auth_file.store
        document = dict(auth_file.document)
        auths = dict(auth_file.auths)
        if helper:
            username, secret = credential.username, credential.password
            if credential.identity_token:
                username, secret = "<token>", credential.identity_token
            credential_helpers.store(helper, _server(key), username, secret, environ)
            auths[key] = {}
        else:
            auths[key] = _entry(credential)
        document["auths"] = auths
        _write(path, document)


def forget(key: str, path: str, environ: Mapping[str, str]) -> bool:
    """Remove what is kept for a key, docker's spellings of a host included. False when nothing was."""
    if not os.path.exists(path):
        return False
    with _locked(path):
        auth_file = load_auth_file(path)
        if auth_file is None:
            return False
        helper = auth_file.helpers.get(key, "") or auth_file.store
        found = False
        if helper and credential_helpers.get(helper, _server(key), environ) is not None:
            credential_helpers.erase(helper, _server(key), environ)
            found = True
        gone = [name for name in auth_file.auths if name == key or host_of_key(name) == key]
        if gone:
            auths = {name: entry for name, entry in auth_file.auths.items() if name not in gone}
            _write(path, {**auth_file.document, "auths": auths})
        return found or bool(gone)


def forget_all(path: str, environ: Mapping[str, str]) -> None:
    """Remove every credential of an auth file; its other settings stay."""
    if not os.path.exists(path):
        return
    with _locked(path):
        auth_file = load_auth_file(path)
        if auth_file is None:
            return
        for key in auth_file.auths:
            helper = auth_file.helpers.get(key, "") or auth_file.store
            if helper:
                credential_helpers.erase(helper, _server(key), environ)
        _write(path, {**auth_file.document, "auths": {}})


def _entry(credential: Credential) -> dict[str, str]:
    if credential.identity_token:
        name = base64.b64encode(f"{credential.username}:".encode()).decode()
        return {"auth": name, "identitytoken": credential.identity_token}
    return {"auth": credential.basic().removeprefix("Basic ")}


def _server(key: str) -> str:
    """How helpers call a registry."""
    return DOCKER_HUB_KEY if key == "docker.io" else key


@contextlib.contextmanager
def _locked(path: str) -> Iterator[None]:
    """Keep other logins away while the file is read and written: a lock on its folder needs no further file."""
    import fcntl

    folder = os.path.dirname(os.path.abspath(path))
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise RegistryConfigError(f"{folder}: {(error.strerror or str(error)).lower()}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _write(path: str, document: dict[str, Any]) -> None:
    import tempfile

    # a link to the real file (dotfile managers make such) stays one
    path = os.path.realpath(path)
    data = json.dumps(document, indent="\t").encode() + b"\n"
    temporary = ""
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=".auth-", dir=os.path.dirname(path))  # mode 0600
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        if temporary:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
        raise RegistryConfigError(f"{path}: {(error.strerror or str(error)).lower()}") from error
