"""HTTP over urllib3: one attempt of one request, connection pools, certificates, proxies; foreign errors end here."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pywerf.errors import RegistryError
from pywerf.registry import tls
from pywerf.registry.responses import clean, show_url
from pywerf.registry.retry import Broken
from pywerf.registry.settings import RegistrySettings, is_loopback

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager

__all__ = ["CHUNK", "Http", "body_chunks", "load", "origin", "read_limited"]

CHUNK = 256 << 10
MAX_CONNECTIONS = 16


def load() -> None:
    """Import what requests need, before a thread makes the first one: two threads that import hinder each other."""
    import urllib3  # noqa: F401


def origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port of an address: credentials stay within one origin."""
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or (443 if parts.scheme == "https" else 80)


class Http:
    """Connections for one registry, and for where it sends us. Safe for use by several threads.

    `host` is `name[:port]`: certs.d folders are named so, and client certificates go only there.
    """

    def __init__(self, host: str, settings: RegistrySettings, *, verify: bool) -> None:
        self.host = host
        self.settings = settings
        self.verify = verify
        self._lock = threading.Lock()
        self._pools: dict[tuple[bool, bool, str], PoolManager] = {}

    def request(
        self,
        method: str,
        url: str,
        headers: dict[str, str],
        body: bytes | Iterable[bytes] | None = None,
        *,
        what: str,
        own: bool = True,
    ) -> BaseHTTPResponse:
        """One attempt, without redirects. The body of the answer is still to be read; release it.

        `own`: the address is the registry itself, not one that it has named. A `body` of chunks needs a
        Content-Length header. Raises Broken when there is no answer; what the body's iterator raises
        goes through.
        """
        import urllib3
        from urllib3.exceptions import HTTPError

        sent = {"User-Agent": self.settings.user_agent, **headers}
        watched = None if body is None or isinstance(body, bytes) else _Watched(body)
        timeout = urllib3.Timeout(connect=self.settings.connect_timeout, read=self.settings.read_timeout)
        try:
            return self._pool(url, own).request(
                method,
                url,
                headers=sent,
                body=body if watched is None else watched,
                preload_content=False,
                decode_content=False,
                retries=False,
                redirect=False,
                timeout=timeout,
            )
        except (HTTPError, OSError, ValueError) as error:
            if watched is not None and watched.failure is not None:
                raise watched.failure from None
            raise _broken(error, url, what) from error

    def close(self) -> None:
        """Close every idle connection. Idempotent."""
        with self._lock:
            pools = list(self._pools.values())
            self._pools.clear()
        for pool in pools:
            pool.clear()

    def _pool(self, url: str, own: bool) -> PoolManager:
        proxy = _proxy_for(url)
        secure = url.startswith("https:") or proxy.startswith("https:")
        with self._lock:
            pool = self._pools.get((own, secure, proxy))
            if pool is None:
                pool = self._pools[own, secure, proxy] = self._make_pool(own, secure, proxy)
            return pool

    def _make_pool(self, own: bool, secure: bool, proxy: str) -> PoolManager:
        import urllib3
        from urllib3.util import make_headers, parse_url

        context = None
        if secure:  # the system's authorities take longer to load than a request on this machine
            if not self.verify:  # said by the user, for this registry: no warning at each connection
                urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
            folder = tls.certificate_folder(self.host, self.settings.cert_dir, os.environ)
            context = tls.client_context(folder, verify=self.verify, client_certificate=own)
        if not proxy:
            return urllib3.PoolManager(num_pools=8, maxsize=MAX_CONNECTIONS, ssl_context=context)
        auth = parse_url(proxy).auth
        return urllib3.ProxyManager(
            proxy,
            num_pools=8,
            maxsize=MAX_CONNECTIONS,
            ssl_context=context,
            proxy_headers=make_headers(proxy_basic_auth=auth) if auth else None,
        )


def body_chunks(response: BaseHTTPResponse, what: str, url: str) -> Iterator[bytes]:
    """The body in pieces of up to CHUNK bytes; Broken when the connection ends too early."""
    from urllib3.exceptions import HTTPError

    try:
        while True:
            chunk = response.read(CHUNK)
            if not chunk:
                break
            yield chunk
        response.release_conn()
    except (HTTPError, OSError) as error:
        raise _broken(error, url, what) from error
    finally:
        # an abandoned or broken body: its connection is of no use any more
        if response.connection is not None:
            response.close()


def read_limited(response: BaseHTTPResponse, limit: int, what: str, url: str) -> bytes:
    """The whole body, without a compression that the server applied unasked. Broken when it ends too early.

    Raises RegistryError when it is longer than `limit` bytes.
    """
    from urllib3.exceptions import HTTPError

    pieces: list[bytes] = []
    total = 0
    try:
        while piece := response.read(min(limit + 1, CHUNK), decode_content=True):
            total += len(piece)
            if total > limit:
                raise RegistryError(f"{what}: the answer is longer than {limit} bytes")
            pieces.append(piece)
        response.release_conn()
    except (HTTPError, OSError) as error:
        raise _broken(error, url, what) from error
    finally:
        if response.connection is not None:
            response.close()
    return b"".join(pieces)


class _Watched:
    """An iterable body that remembers its own failure, which must not be taken for the connection's."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self.failure: BaseException | None = None

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            return next(self._chunks)
        except StopIteration:
            raise
        except BaseException as error:
            self.failure = error
            raise


def _proxy_for(url: str) -> str:
    """The proxy that the environment names for an address (HTTP_PROXY, HTTPS_PROXY, NO_PROXY), or ""."""
    if not any(name.lower().endswith("_proxy") for name in os.environ):
        return ""
    parts = urlsplit(url)
    if is_loopback(parts.netloc.rpartition("@")[2]):
        return ""
    for name in (f"{parts.scheme}_proxy", "all_proxy"):
        proxy = os.environ.get(name) or os.environ.get(name.upper()) or ""
        if proxy:
            break
    bypass = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    if not proxy or _bypassed(parts.netloc.rpartition("@")[2].lower(), bypass):
        return ""
    return proxy if "://" in proxy else f"http://{proxy}"


def _bypassed(host: str, bypass: str) -> bool:
    """Whether NO_PROXY (`*`, or hosts and domains between commas) covers `host[:port]`."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    for item in bypass.lower().split(","):
        item = item.strip().removeprefix("*").lstrip(".")
        if (not item and "*" in bypass) or item in (host, name) or (item and name.endswith(f".{item}")):
            return True
    return False


@functools.cache
def _permanent_lookups() -> frozenset[int]:
    import socket

    return frozenset((socket.EAI_NONAME, socket.EAI_NODATA if hasattr(socket, "EAI_NODATA") else socket.EAI_NONAME))


def _broken(error: Exception, url: str, what: str) -> Broken:
    """What happened below HTTP, in words."""
    import socket
    import ssl

    from urllib3 import exceptions

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
        if isinstance(cause, exceptions.LocationParseError | UnicodeError):
            return Broken(RegistryError(f"{what}: {clean(show_url(url))} is not an address"), transient=False)
    for cause in causes:
        if isinstance(cause, (exceptions.TimeoutError, TimeoutError)) and not isinstance(
            cause, exceptions.NewConnectionError
        ):
            return Broken(RegistryError(f"{what}: {host} did not answer in time"), transient=True)
    for cause in causes:
        if isinstance(cause, exceptions.IncompleteRead):
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
