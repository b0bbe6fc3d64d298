"""HTTP by way of a proxy, which is urllib3's: tunnels, and TLS within TLS."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pywerf.registry.http_message import CutShort, Headers, NoAnswer

if TYPE_CHECKING:
    import ssl

    from urllib3 import BaseHTTPResponse

__all__ = ["Proxied", "ProxiedResponse"]

MAX_CONNECTIONS = 16


class Proxied:
    """Connections through one proxy; as Direct otherwise. `context`: for servers, and proxies, that want TLS."""

    def __init__(
        self, proxy: str, context: ssl.SSLContext | None, *, connect_timeout: float, read_timeout: float
    ) -> None:
        import urllib3
        from urllib3.util import make_headers, parse_url

        if context is not None and not context.verify_mode:  # said by the user: no warning at each connection
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        auth = parse_url(proxy).auth
        self._timeout = urllib3.Timeout(connect=connect_timeout, read=read_timeout)
        self._pool = urllib3.ProxyManager(
            proxy,
            num_pools=8,
            maxsize=MAX_CONNECTIONS,
            ssl_context=context,
            proxy_headers=make_headers(proxy_basic_auth=auth) if auth else None,
        )

    def request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | Iterable[bytes] | None
    ) -> ProxiedResponse:
        """One attempt of one request; see Direct."""
        with _own_errors():
            response = self._pool.request(
                method,
                url,
                headers=headers,
                body=body,
                preload_content=False,
                decode_content=False,
                retries=False,
                redirect=False,
                timeout=self._timeout,
            )
        return ProxiedResponse(response)

    def close(self) -> None:
        """Close every idle connection. Idempotent; the object can still be used."""
        self._pool.clear()


class ProxiedResponse:
    """Response that came through a proxy."""

    def __init__(self, response: BaseHTTPResponse) -> None:
        self.status = response.status
        self.reason = response.reason or ""
        self.headers = Headers(response.headers.items())
        self._response: BaseHTTPResponse | None = response
        self._rest = response.length_remaining

    @property
    def left(self) -> int | None:
        """Response."""
        return self._rest if self._response is None else self._response.length_remaining

    def read(self, amount: int) -> bytes:
        """Response."""
        if self._response is None:
            return b""
        with _own_errors():
            return self._response.read(amount)

    def release(self) -> None:
        """Response."""
        if self.left == 0 and self._response is not None:
            self._end(self._response)
            self._response.release_conn()
            self._response = None
        self.close()

    def close(self) -> None:
        """Response."""
        if self._response is not None:
            self._end(self._response)
            self._response.close()
            self._response = None

    def _end(self, response: BaseHTTPResponse) -> None:
        self._rest = response.length_remaining


@contextmanager
def _own_errors() -> Iterator[None]:
    """urllib3's errors as those that direct connections have; what is behind them stays their cause."""
    from urllib3.exceptions import HTTPError, IncompleteRead

    try:
        yield
    except ValueError:  # no address, among them
        raise
    except HTTPError as error:
        short = isinstance(error, IncompleteRead) or isinstance(error.__cause__, IncompleteRead)
        raise (CutShort if short else NoAnswer) from error
