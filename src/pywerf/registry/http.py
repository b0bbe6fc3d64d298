"""HTTP as registries are spoken to: one attempt of one request, certificates, proxies; foreign errors end here."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pywerf.errors import RegistryError
from pywerf.registry import tls
from pywerf.registry.direct import Direct
from pywerf.registry.failures import broken
from pywerf.registry.http_message import NoAnswer, Response, decoded
from pywerf.registry.settings import RegistrySettings, is_loopback

if TYPE_CHECKING:
    import ssl

    from pywerf.registry.proxied import Proxied

__all__ = ["CHUNK", "Http", "body_chunks", "origin", "read_limited"]

CHUNK = 256 << 10


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
        self._contexts = _Contexts(host, settings, verify=verify)
        self._lock = threading.Lock()
        self._ways: dict[tuple[bool, bool, str], Direct | Proxied] = {}

    def request(
        self,
        method: str,
        url: str,
        headers: dict[str, str],
        body: bytes | Iterable[bytes] | None = None,
        *,
        what: str,
        own: bool = True,
    ) -> Response:
        """One attempt, without redirects. The body of the answer is still to be read; release it.

        `own`: the address is the registry itself, not one that it has named. A `body` of chunks needs a
        Content-Length header. Raises Broken when there is no answer; what the body's iterator raises
        goes through.
        """
        sent = {"User-Agent": self.settings.user_agent, **headers}
        watched = None if body is None or isinstance(body, bytes) else _Watched(body)
        try:
            return self._way(url, own).request(method, url, sent, body if watched is None else watched)
        except (NoAnswer, OSError, ValueError) as error:
            if watched is not None and watched.failure is not None:
                raise watched.failure from None
            raise broken(error, url, what) from error

    def close(self) -> None:
        """Close every idle connection. Idempotent."""
        with self._lock:
            ways = list(self._ways.values())
            self._ways.clear()
        for way in ways:
            way.close()

    def _way(self, url: str, own: bool) -> Direct | Proxied:
        proxy = _proxy_for(url)
        secure = bool(proxy) and (url.startswith("https:") or proxy.startswith("https:"))
        with self._lock:
            way = self._ways.get((own, secure, proxy))
            if way is None:
                way = self._ways[own, secure, proxy] = self._make_way(own, secure, proxy)
            return way

    def _make_way(self, own: bool, secure: bool, proxy: str) -> Direct | Proxied:
        connect, read = self.settings.connect_timeout, self.settings.read_timeout
        if not proxy:
            return Direct(partial(self._contexts.of, own), connect_timeout=connect, read_timeout=read)
        from pywerf.registry.proxied import Proxied

        return Proxied(proxy, self._contexts.of(own) if secure else None, connect_timeout=connect, read_timeout=read)


class _Contexts:
    """The TLS contexts of one registry: for connections to itself (`own`), and to where it sends us."""

    def __init__(self, host: str, settings: RegistrySettings, *, verify: bool) -> None:
        self._host = host
        self._settings = settings
        self._verify = verify
        self._known: dict[bool, ssl.SSLContext] = {}
        self._lock = threading.Lock()

    def of(self, own: bool) -> ssl.SSLContext:
        """Made when it is needed: the system's authorities take longer to load than a request on this machine."""
        with self._lock:
            context = self._known.get(own)
            if context is None:
                folder = tls.certificate_folder(self._host, self._settings.cert_dir, os.environ)
                context = tls.client_context(folder, verify=self._verify, client_certificate=own)
                context.set_alpn_protocols(["http/1.1"])
                self._known[own] = context
            return context


def body_chunks(response: Response, what: str, url: str) -> Iterator[bytes]:
    """The body in pieces of up to CHUNK bytes; Broken when the connection ends too early."""
    try:
        while chunk := response.read(CHUNK):
            yield chunk
        response.release()
    except (NoAnswer, OSError) as error:
        raise broken(error, url, what) from error
    finally:
        # an abandoned or broken body: its connection is of no use any more
        response.close()


def read_limited(response: Response, limit: int, what: str, url: str) -> bytes:
    """The whole body, and its connection kept. Broken when it ends too early.

    Raises RegistryError when it is longer than `limit` bytes.
    """
    pieces: list[bytes] = []
    total = 0
    try:
        for piece in decoded(response):
            total += len(piece)
            if total > limit:
                raise RegistryError(f"{what}: the answer is longer than {limit} bytes")
            pieces.append(piece)
        response.release()
    except (NoAnswer, OSError) as error:
        raise broken(error, url, what) from error
    finally:
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
