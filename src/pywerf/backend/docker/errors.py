"""What the daemon's words and statuses mean: one of our errors, with the way out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pywerf.errors import (
    BuildError,
    ImageInUse,
    ImageNotFound,
    RegistryError,
    RegistryNotFound,
    RegistryUnauthorized,
    WerfError,
)
from pywerf.registry.responses import clean

if TYPE_CHECKING:
    from pywerf.registry.docker_host import DockerEndpoint

__all__ = ["explain", "translated", "wanted_mount"]

_NO_SPACE = "no space left on device"
_UNAUTHORIZED = ("unauthorized", "authentication required", "no basic auth credentials", "denied:", "access denied")
_NOT_THERE = ("manifest unknown", "name unknown", "repository does not exist", "not found: manifest", "no such host")
_WANTED = re.compile(
    r"secret (?P<secret>[^\s:]+)(?: not found|: not found|: /)|ssh agent (?P<ssh>[^\s:]+) was not given"
)
_REGISTRY = re.compile(r"https?://([^/\s\"]+)/v2/")


def explain(message: str, status: int = 0, *, what: str = "", image: str = "") -> WerfError:
    """The error for what the daemon said. `what`: what was asked, for the message; `image`: what it was about."""
    text = clean(message.strip()) or f"the Docker daemon answered with status {status}"
    lower = text.lower()
    shown = f"{what}: {text}" if what else text
    if _NO_SPACE in lower:
        hint = "`docker system df` shows what takes the daemon's disk, `docker system prune` frees it"
        return BuildError(shown, hint=hint)
    if any(words in lower for words in _UNAUTHORIZED) and "permission denied" not in lower:
        where = _REGISTRY.search(text)
        host = where[1] if where else image.partition("/")[0] if "/" in image else ""
        hint = f"log in with `docker login {host}`".rstrip("` ") + "`, and see that the name is right"
        return RegistryUnauthorized(shown, status=status or None, hint=hint)
    if "no such image" in lower or (status == 404 and "image" in lower and "pull" not in lower and image):
        return ImageNotFound(image or text, hint="`docker images` lists what the daemon has")
    if any(words in lower for words in _NOT_THERE) or ("failed to resolve" in lower and lower.endswith(": not found")):
        return RegistryNotFound(shown, status=status or None, hint="see that the name and the tag are right")
    if "squash is only supported with experimental" in lower:
        return BuildError(
            "--squash: the Docker daemon does it with its experimental features alone",
            hint='set "experimental": true in its daemon.json, or use the embedded engine (WERF_BUILDAH_MODE=auto)',
        )
    wanted = wanted_mount(text)
    if wanted is not None:
        kind, id = wanted
        return BuildError(shown, hint=f"the step wants --{kind} {f'id={id},src=FILE' if kind == 'secret' else id}")
    if status == 409:
        return ImageInUse(shown, hint="remove what uses it first, or force it")
    if "connection refused" in lower or "server gave http response to https" in lower or "x509" in lower:
        return RegistryError(
            shown, hint="the daemon talks to registries: `insecure-registries` and certificates are its settings"
        )
    return BuildError(shown)


def wanted_mount(message: str) -> tuple[str, str] | None:
    """(secret or ssh, id) when BuildKit says that one was not given."""
    match = _WANTED.search(message)
    return None if match is None else ("secret", match["secret"]) if match["secret"] else ("ssh", match["ssh"])


@contextmanager
def translated(endpoint: DockerEndpoint, what: str = "", *, image: str = "") -> Iterator[None]:
    """What the docker SDK, requests and sockets raise within, as errors of ours."""
    try:
        yield
    except WerfError:
        raise
    except Exception as error:
        raise _of(error, endpoint, what, image) from error


def _of(error: Exception, endpoint: DockerEndpoint, what: str, image: str) -> BaseException:
    from http.client import HTTPException

    import docker.errors
    import requests.exceptions

    from pywerf.registry.docker_host import unreachable

    if isinstance(error, docker.errors.APIError):
        response = error.response
        status = response.status_code if response is not None else 0
        return explain(str(error.explanation or error), status, what=what, image=image)
    if isinstance(error, docker.errors.DockerException):
        cause = _root(error)
        if isinstance(cause, OSError):
            return unreachable(endpoint, cause)
        return BuildError(f"{what}: {clean(str(error))}" if what else clean(str(error)))
    if isinstance(error, requests.exceptions.ReadTimeout):
        return RegistryError(f"the Docker daemon at {endpoint} does not answer", hint="see its log; start it again")
    if isinstance(error, requests.exceptions.RequestException | HTTPException | OSError):
        cause = _root(error)
        if isinstance(cause, OSError) and isinstance(error, requests.exceptions.ConnectionError):
            return unreachable(endpoint, cause)
        return BuildError(
            f"{what or 'the Docker daemon'}: the connection to {endpoint} broke off: {clean(str(cause))}",
            hint="the daemon may have been stopped; see its log",
        )
    return error


def _root(error: BaseException) -> BaseException:
    """The innermost cause: requests wraps urllib3, which wraps the error of the socket."""
    seen = {id(error)}
    while True:
        inner = error.__cause__ or error.__context__
        if inner is None and error.args and isinstance(error.args[0], BaseException):
            inner = error.args[0]
        if inner is None:
            inner = getattr(error, "reason", None)
        if not isinstance(inner, BaseException) or id(inner) in seen:
            return error
        seen.add(id(inner))
        error = inner
