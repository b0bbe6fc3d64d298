"""What happened below HTTP, in words."""

from __future__ import annotations

import functools
import os
from urllib.parse import urlsplit

from pywerf.errors import RegistryError
from pywerf.registry.http_message import CutShort
from pywerf.registry.responses import clean, show_url
from pywerf.registry.retry import Broken

__all__ = ["broken"]


@functools.cache
def _permanent_lookups() -> frozenset[int]:
    import socket

    return frozenset((socket.EAI_NONAME, socket.EAI_NODATA if hasattr(socket, "EAI_NODATA") else socket.EAI_NONAME))


def broken(error: Exception, url: str, what: str) -> Broken:
    """The failed attempt that an error of a connection stands for."""
    import socket
    import ssl

    host = urlsplit(url).netloc.rpartition("@")[2]
    causes = _causes(error)
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            text = RegistryError(
                f"{what}: the certificate of {host} is not trusted: {clean(cause.verify_message)}",
                hint=f"put its authority into /etc/containers/certs.d/{host}/ca.crt, or use --cert-dir, "
                "or --tls-verify=false",
            )
            return Broken(text, transient=False, certificate=True)
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
            reason = clean(cause.reason or "").replace("_", " ").lower() or "handshake failed"
            hint = None
            if reason in ("wrong version number", "http request", "record layer failure"):
                reason, hint = "it does not speak TLS", "if it is a plain HTTP registry, use --tls-verify=false"
            return Broken(RegistryError(f"{what}: {host}: TLS: {reason}", hint=hint), transient=False)
        if isinstance(cause, socket.gaierror):
            text = RegistryError(f"{what}: {host}: the name cannot be resolved", hint="check the name and the DNS")
            return Broken(text, transient=cause.errno not in _permanent_lookups())
    if isinstance(error, ValueError):
        return Broken(RegistryError(f"{what}: {clean(show_url(url))} is not an address"), transient=False)
    for cause in causes:
        if isinstance(cause, TimeoutError):
            return Broken(RegistryError(f"{what}: {host} did not answer in time"), transient=True)
    for cause in causes:
        if isinstance(cause, CutShort):
            return Broken(RegistryError(f"{what}: {host} closed the connection too early"), transient=True)
        if isinstance(cause, OSError) and cause.errno is not None:
            reason = (os.strerror(cause.errno) if cause.errno > 0 else str(cause)).lower()
            return Broken(RegistryError(f"{what}: {host}: {reason}"), transient=True)
    return Broken(RegistryError(f"{what}: {host} closed the connection"), transient=True)


def _causes(error: BaseException) -> list[BaseException]:
    """The error and what is behind it, outermost first."""
    out: list[BaseException] = []
    todo: list[object] = [error]
    while todo and len(out) < 20:
        item = todo.pop(0)
        if not isinstance(item, BaseException) or item in out:
            continue
        out.append(item)
        todo.extend((item.__cause__, item.__context__, getattr(item, "reason", None), *item.args))
    return out
