"""What a registry's answer says, in words: error documents, limits, links. Nothing secret gets through."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from pywerf.errors import RegistryError, RegistryNotFound, RegistryUnauthorized
from pywerf.registry.retry import Broken, is_transient, retry_after

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

__all__ = ["absolute", "broken_status", "clean", "error_from", "next_link", "release", "show_url"]

MAX_ERROR_BODY = 64 << 10


def clean(text: str, secrets: Iterable[str] = ()) -> str:
    """Text of a server as one printable line without the given secrets."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")
    text = " ".join(text.split())
    return "".join(char if char.isprintable() else "?" for char in text)[:500]


def show_url(url: str) -> str:
    """An address without what may be secret in it: user, password and query (signed addresses)."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"


def absolute(base: str, target: str) -> str:
    """The address that the server at `base` names. Raises RegistryError when it is none."""
    try:
        url = urljoin(base, target)
        _ = urlsplit(url).port
    except ValueError as error:
        host, shown = urlsplit(base).netloc.rpartition("@")[2], target.partition("?")[0].rpartition("@")[2]
        raise RegistryError(f"{host} sends us to what is no address: {clean(shown)}") from error
    return url


def release(response: BaseHTTPResponse) -> None:
    """Done with a response whose body nobody needs: keep its connection if the rest is short."""
    left = response.length_remaining
    if left is not None and left <= MAX_ERROR_BODY:
        response.drain_conn()
        response.release_conn()
    else:
        response.close()


def error_from(response: BaseHTTPResponse, what: str, host: str, secrets: Iterable[str] = ()) -> RegistryError:
    """The error that a response stands for (distribution-spec, Error Codes). Consumes the body."""
    from urllib3.exceptions import HTTPError

    try:
        body = response.read(MAX_ERROR_BODY, decode_content=True) if response.length_remaining != 0 else b""
    except (HTTPError, OSError):
        body = b""  # the status says enough
    response.close()
    code, text = _error_document(body)
    status = response.status
    text = clean(text, secrets) or f"status {status} {response.reason or ''}".strip()
    message = f"{what}: {text}"
    if status in (401, 403):
        return RegistryUnauthorized(
            message,
            status=status,
            code=code,
            hint=f"log in with: werf cr login {host}, or check the rights of the user",
        )
    if status == 404:
        return RegistryNotFound(message, status=status, code=code, hint="check the name, the tag and the registry")
    if status == 429:
        return RegistryError(
            message, status=status, code=code, hint=f"{host} limits its rate: wait, log in, or use a mirror"
        )
    return RegistryError(message, status=status, code=code)


def broken_status(response: BaseHTTPResponse, what: str, host: str, secrets: Iterable[str] = ()) -> Broken:
    """A response that is no success, as a failed attempt."""
    status = response.status
    wait = retry_after(response.headers.get("Retry-After"), time.time())
    return Broken(error_from(response, what, host, secrets), transient=is_transient(status), wait=wait)


def _error_document(body: bytes) -> tuple[str | None, str]:
    """Code and text of `{"errors": [{"code": …, "message": …, "detail": …}]}`, of its relatives, or of plain text."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        text = body.decode("utf-8", "replace")
        return None, "" if text.lstrip().startswith("<") else text
    if not isinstance(document, dict):
        return None, ""
    errors = document.get("errors")
    first = errors[0] if isinstance(errors, list) and errors else document
    if not isinstance(first, dict):
        return None, str(first)
    code = first.get("code")
    text = first.get("message") or first.get("details") or first.get("error_description") or first.get("error") or ""
    detail = first.get("detail")
    if isinstance(detail, str) and detail and detail not in str(text):
        text = f"{text}: {detail}" if text else detail
    return (code if isinstance(code, str) else None), str(text or code or "")


def next_link(value: str | None) -> str | None:
    """The target of a `Link: <…>; rel="next"` header (RFC 8288), or None."""
    for part in (value or "").split(","):
        target, _, parameters = part.strip().partition(";")
        if target.startswith("<") and target.endswith(">") and 'rel="next"' in parameters.replace(" ", "").lower():
            return target[1:-1]
    return None
