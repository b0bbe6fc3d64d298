"""Programs that keep passwords: the protocol of `docker-credential-NAME get|store|erase` over stdin and stdout."""

from __future__ import annotations

import json
from collections.abc import Mapping

from pywerf.errors import RegistryConfigError

__all__ = ["erase", "get", "store"]

TIMEOUT = 60.0
# what the helpers say (in docker-credential-helpers' own library) when they simply do not know the server
_UNKNOWN = ("credentials not found in native keychain", "no credentials server URL", "no credentials username")


def get(helper: str, server: str, environ: Mapping[str, str]) -> tuple[str, str] | None:
    """User name and secret for a server; None when the helper knows none. A user `<token>` marks an identity token."""
    status, output = _run(helper, "get", server.encode(), environ)
    if status != 0:
        if any(text in output for text in _UNKNOWN) or "not found" in output.lower():
            return None
        raise _failed(helper, "get", server, output)
    try:
        document = json.loads(output)
        username, secret = document["Username"], document["Secret"]
    except (ValueError, RecursionError, KeyError, TypeError):
        raise RegistryConfigError(f"docker-credential-{helper}: its answer for {server} is not understood") from None
    if not isinstance(username, str) or not isinstance(secret, str):
        raise RegistryConfigError(f"docker-credential-{helper}: its answer for {server} is not understood")
    return (username, secret) if username or secret else None


def store(helper: str, server: str, username: str, secret: str, environ: Mapping[str, str]) -> None:
    """Keep a secret. Raises RegistryConfigError when the helper does not."""
    entry = json.dumps({"ServerURL": server, "Username": username, "Secret": secret})
    status, output = _run(helper, "store", entry.encode(), environ)
    if status != 0:
        raise _failed(helper, "store", server, output.replace(secret, "***") if secret else output)


def erase(helper: str, server: str, environ: Mapping[str, str]) -> None:
    """Forget a server's secret; no error when the helper has none."""
    status, output = _run(helper, "erase", server.encode(), environ)
    if status != 0 and "not found" not in output.lower():
        raise _failed(helper, "erase", server, output)


def _run(helper: str, action: str, data: bytes, environ: Mapping[str, str]) -> tuple[int, str]:
    import shutil
    import subprocess

    program = f"docker-credential-{helper}"
    if not helper or "/" in helper or helper.startswith("."):
        raise RegistryConfigError(f"credential helper {helper!r}: not a name")
    path = shutil.which(program, path=environ.get("PATH"))
    if path is None:
        raise RegistryConfigError(
            f"{program}: the credential helper is not installed",
            hint="install it, or remove its name from credHelpers or credsStore",
        )
    try:
        done = subprocess.run(
            [path, action], input=data, capture_output=True, timeout=TIMEOUT, env=dict(environ), check=False
        )
    except subprocess.TimeoutExpired:
        raise RegistryConfigError(f"{program} {action}: no answer within {TIMEOUT:.0f} seconds") from None
    except OSError as error:
        raise RegistryConfigError(f"{program}: {(error.strerror or str(error)).lower()}") from error
    text = done.stdout if done.returncode == 0 else done.stdout + done.stderr
    return done.returncode, text.decode("utf-8", "replace")


def _failed(helper: str, action: str, server: str, output: str) -> RegistryConfigError:
    line = next((line.strip() for line in output.splitlines() if line.strip()), "it failed without a word")
    return RegistryConfigError(f"docker-credential-{helper} {action} {server}: {line[:200]}")
