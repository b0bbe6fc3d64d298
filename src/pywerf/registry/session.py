"""Requests to one registry as they have to be made: scheme, authorization, redirects, another try after failures."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pywerf.errors import RegistryError
from pywerf.registry.auth import Authorizer
from pywerf.registry.credentials import Credential
from pywerf.registry.http import Http, origin, read_limited
from pywerf.registry.responses import absolute, broken_status, clean, release, show_url
from pywerf.registry.retry import Broken, Patience
from pywerf.registry.settings import RegistrySettings, has_port, is_loopback

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

__all__ = ["Answer", "RegistrySession", "Schemes"]

MAX_REDIRECTS = 10
MAX_ROUNDS = 3  # without authorization, with it, and once more with a scope that the registry has named
REDIRECTS = (301, 302, 303, 307, 308)


class Schemes:
    """Which scheme each host that may have both has answered to; shared by the sessions of one command."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, bool], str] = {}

    def of(self, address: str, verify: bool, probe: Callable[[], str]) -> str:
        """The scheme of an address; `probe` finds it while nobody knows it, and its errors are not remembered."""
        key = (address, verify)
        if key not in self._known:
            self._known[key] = probe()
        return self._known[key]


class Answer:
    """A response, and the address that it came from after all redirects."""

    __slots__ = ("response", "url")

    def __init__(self, response: BaseHTTPResponse, url: str) -> None:
        self.response = response
        self.url = url

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.response.status

    def header(self, name: str) -> str:
        """A header's value; empty when it is missing."""
        return str(self.response.headers.get(name, ""))

    def link(self, target: str) -> str:
        """An address that the answer names, made absolute. Raises RegistryError when it is none."""
        return absolute(self.url, target)


class RegistrySession:
    """One registry, `host[:port]` as it is called in references. Safe for use by several threads.

    `insecure` is what registries.conf says of it: no certificate needed, plain HTTP allowed. `schemes`: what
    other sessions have found out, and are told by this one.
    """

    def __init__(
        self,
        host: str,
        settings: RegistrySettings,
        *,
        insecure: bool = False,
        credential: Callable[[], Credential | None] | None = None,
        schemes: Schemes | None = None,
    ) -> None:
        self.host = host
        self.settings = settings
        wanted = settings.tls_verify
        verify = wanted if wanted is not None else not insecure
        self._plain_allowed = not verify or (wanted is None and is_loopback(host))
        self._address = "registry-1.docker.io" if host == "docker.io" else host
        self.http = Http(host, settings, verify=verify)
        self.authorizer = Authorizer(self.http, credential or (lambda: None))
        self._schemes = Schemes() if schemes is None else schemes
        self._lock = threading.Lock()

    def patience(self) -> Patience:
        """A new count of attempts."""
        return Patience(self.settings.retries, self.settings.backoff, delay=self.settings.delay)

    def request(
        self,
        method: str,
        path: str,
        *,
        scopes: Iterable[str],
        what: str,
        headers: dict[str, str] | None = None,
        body: bytes | None = None,
        expect: Collection[int] = (200,),
    ) -> Answer:
        """A request that may be repeated, until its answer's status is one of `expect`.

        `path` is absolute on the registry or a whole address. Raises RegistryError and its children.
        """
        patience = self.patience()
        while True:
            try:
                return self.attempt(method, path, scopes=scopes, what=what, headers=headers, body=body, expect=expect)
            except Broken as broken:
                patience.wait_after(broken)

    def document(
        self, path: str, limit: int, *, scopes: Iterable[str], what: str, headers: dict[str, str] | None = None
    ) -> tuple[Answer, bytes]:
        """An answer and its whole body, of up to `limit` bytes; as `request` otherwise."""
        patience = self.patience()
        while True:
            try:
                answer = self.attempt("GET", path, scopes=scopes, what=what, headers=headers)
                return answer, read_limited(answer.response, limit, what, answer.url)
            except Broken as broken:
                patience.wait_after(broken)

    def attempt(
        self,
        method: str,
        path: str,
        *,
        scopes: Iterable[str],
        what: str,
        headers: dict[str, str] | None = None,
        body: bytes | Callable[[], Iterable[bytes]] | None = None,
        expect: Collection[int] = (200,),
    ) -> Answer:
        """The same, tried once (authorization and redirects are part of it). Raises Broken.

        A `body` of chunks is asked for anew whenever it is sent, and needs a Content-Length.
        """
        url = path if "://" in path else self.base(what) + path
        wanted = frozenset(scopes)
        for round_number in range(MAX_ROUNDS):
            authorization = self.authorizer.header(wanted, what)
            answer = self._follow(method, url, headers or {}, authorization, body, what)
            if answer.status != 401 or origin(answer.url) != origin(url):
                break
            if round_number + 1 == MAX_ROUNDS or not self.authorizer.refused(answer.response, wanted, authorization):
                break
            release(answer.response)
        if answer.status not in expect:
            raise broken_status(answer.response, what, self.host, self.authorizer.secrets)
        return answer

    def base(self, what: str) -> str:
        """`https://HOST`, or `http://HOST` where that is allowed and is all that is spoken there. Raises Broken."""
        if not self._plain_allowed:
            return f"https://{self._address}"
        with self._lock:  # one probe a session: its threads begin together
            scheme = self._schemes.of(self._address, self.http.verify, lambda: self._probe(what))
        return f"{scheme}://{self._address}"

    def close(self) -> None:
        """Close idle connections. Idempotent."""
        self.http.close()

    def _probe(self, what: str) -> str:
        """The scheme that is spoken. A port of this machine is asked in plain HTTP first: nobody listens on the way,

        and TLS takes longer to load than a build without changes. One that wants TLS answers with a 400, if at all.
        """
        near = is_loopback(self.host) and has_port(self.host) and not self.settings.cert_dir
        plain = self._try("http", what) if near else None
        if plain in (200, 401):
            return "http"
        secure = self._try("https", what)
        if not isinstance(secure, Broken):
            return "https"
        if secure.certificate:
            raise secure
        if plain is None:
            plain = self._try("http", what)
        if isinstance(plain, Broken):
            # this one says more: "refused" is the same in both, "no TLS" is not what is wrong
            raise plain
        return "http"

    def _try(self, scheme: str, what: str) -> int | Broken:
        """The status of the API's root, or why there is none. What a 401 tells is kept."""
        try:
            response = self.http.request("GET", f"{scheme}://{self._address}/v2/", {}, what=what)
        except Broken as broken:
            return broken
        if response.status == 401:
            self.authorizer.refused(response, frozenset(), None)
        release(response)
        return response.status

    def _follow(
        self,
        method: str,
        url: str,
        headers: dict[str, str],
        authorization: str | None,
        body: bytes | Callable[[], Iterable[bytes]] | None,
        what: str,
    ) -> Answer:
        home = origin(self.base(what))
        start = origin(url)
        for _ in range(MAX_REDIRECTS):
            own = origin(url) == home
            sent = dict(headers)
            if authorization is not None and own:
                sent["Authorization"] = authorization
            content = body() if callable(body) else body
            response = self.http.request(method, url, sent, content, what=what, own=own)
            target = response.headers.get("Location")
            if response.status not in REDIRECTS or not target:
                return Answer(response, url)
            release(response)
            previous, url = url, absolute(url, target)
            if urlsplit(url).scheme not in ("http", "https"):
                raise Broken(RegistryError(f"{what}: redirected to {clean(show_url(url))}"), transient=False)
            if origin(previous)[0] == "https" and origin(url)[0] == "http" and self.http.verify:
                raise Broken(
                    RegistryError(
                        f"{what}: {self.host} redirects from HTTPS to plain HTTP ({clean(show_url(url))})",
                        hint="use --tls-verify=false if the network is to be trusted",
                    ),
                    transient=False,
                )
            if response.status == 303 and method != "HEAD":
                method, body = "GET", None
        raise Broken(RegistryError(f"{what}: {self.host} redirects without end (from {start[1]})"), transient=False)
