"""Authorization of requests: Basic, and Bearer tokens from a token server (distribution's token and OAuth2 specs)."""

from __future__ import annotations

import functools
import json
import re
import threading
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

import msgspec

from pywerf.errors import RegistryError, RegistryUnauthorized
from pywerf.registry.credentials import Credential
from pywerf.registry.http import Http, read_limited
from pywerf.registry.responses import broken_status, clean, show_url
from pywerf.registry.retry import Broken, Patience
from pywerf.registry.settings import is_loopback

if TYPE_CHECKING:
    from collections.abc import Callable

    from urllib3 import BaseHTTPResponse

__all__ = ["Authorizer", "Challenge", "parse_challenges"]

MAX_TOKEN_BODY = 1 << 20
# A token is not used in the last seconds of its life: it would end on its way.
MARGIN = 10.0
# A token that is refused so soon (seconds) after it was given out is refused for good.
NEW = 5.0


class Challenge(msgspec.Struct, frozen=True):
    """One way to authenticate that a server offers; `scheme` in lower case."""

    scheme: str
    parameters: dict[str, str] = {}


@functools.cache
def _challenge_grammar() -> tuple[re.Pattern[str], re.Pattern[str]]:
    token = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
    return (
        re.compile(rf'[\s,]*({token})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*))'),
        re.compile(rf"[\s,]*({token})(?=[\s,]|$)"),
    )


def parse_challenges(values: Iterable[str]) -> list[Challenge]:
    """The challenges in WWW-Authenticate headers, in order (RFC 9110, 11.6.1); nonsense is passed over."""
    pair_re, scheme_re = _challenge_grammar()
    out: list[Challenge] = []
    for value in values:
        position = 0
        parameters: dict[str, str] | None = None
        while position < len(value):
            pair = pair_re.match(value, position)
            if pair is not None and parameters is not None:
                quoted = pair[2]
                text = pair[3] if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
                parameters[pair[1].lower()] = text
                position = pair.end()
                continue
            scheme = scheme_re.match(value, position)
            if scheme is None:
                break
            parameters = {}
            out.append(Challenge(scheme[1].lower(), parameters))
            position = scheme.end()
    return out


class _Token:
    """A bearer token, when it was asked for and until when it is used (time.monotonic)."""

    __slots__ = ("began", "until", "value")

    def __init__(self, value: str, began: float, until: float) -> None:
        self.value = value
        self.began = began
        self.until = until


class Authorizer:
    """The authorization of one registry's requests. Tokens are kept, one for each set of scopes.

    `credential` is asked at most once, and only after a 401. Safe for use by several threads.
    """

    def __init__(self, http: Http, credential: Callable[[], Credential | None]) -> None:
        self._http = http
        self._find = credential
        self._found: tuple[Credential | None] | None = None
        self._challenge: Challenge | None = None
        self._extra: set[str] = set()
        self._tokens: dict[frozenset[str], _Token] = {}
        self._lock = threading.RLock()

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be shown: passwords and tokens in use."""
        with self._lock:
            credential = self._found[0] if self._found else None
            tokens = tuple(token.value for token in self._tokens.values())
        return tokens if credential is None else (*tokens, *credential.secrets)

    def header(self, scopes: frozenset[str], what: str) -> str | None:
        """The Authorization header for a request, or None as long as nobody has asked for one."""
        with self._lock:
            challenge = self._challenge
            if challenge is None:
                return None
            if challenge.scheme == "basic":
                credential = self._credential()
                return None if credential is None else credential.basic()
            wanted = scopes | self._extra
            token = self._tokens.get(wanted)
            if token is None or token.until < time.monotonic():
                token = self._tokens[wanted] = self._fetch(challenge, wanted, what)
            return f"Bearer {token.value}"

    def refused(self, response: BaseHTTPResponse, scopes: frozenset[str], used: str | None) -> bool:
        """Learn from a 401. True when another try with a new header has a chance.

        `used` is the header that was refused. A new token that is refused at once is final, unless the
        registry has named a scope that was not asked for.
        """
        challenges = parse_challenges(response.headers.getlist("WWW-Authenticate"))
        chosen = next((item for item in challenges if item.scheme == "bearer" and item.parameters.get("realm")), None)
        if chosen is None:
            chosen = next((item for item in challenges if item.scheme == "basic"), None)
        if chosen is None:
            return False
        with self._lock:
            known = self._challenge
            self._challenge = chosen
            if chosen.scheme == "basic":
                return self._credential() is not None and (used is None or not used.startswith("Basic "))
            if known is not None and known.parameters.get("realm") != chosen.parameters.get("realm"):
                self._tokens.clear()
            wanted = scopes | self._extra
            named = _covering(chosen.parameters.get("scope", ""), wanted)
            self._extra |= named
            old = self._tokens.get(wanted)
            if old is not None and used == f"Bearer {old.value}":
                del self._tokens[wanted]
                return bool(named) or time.monotonic() - old.began > NEW
            return True

    def _credential(self) -> Credential | None:
        if self._found is None:
            self._found = (self._find(),)
        return self._found[0]

    def _fetch(self, challenge: Challenge, scopes: frozenset[str], what: str) -> _Token:
        settings = self._http.settings
        patience = Patience(settings.retries, settings.backoff, delay=settings.delay)
        while True:
            try:
                return self._fetch_once(challenge, scopes, what)
            except Broken as broken:
                patience.wait_after(broken)

    def _fetch_once(self, challenge: Challenge, scopes: frozenset[str], what: str) -> _Token:
        realm = challenge.parameters["realm"]
        parts = urlsplit(realm)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise RegistryError(f"{what}: {self._http.host} names no usable token server: {clean(realm)}")
        credential = self._credential()
        if parts.scheme == "http" and self._http.verify and not _plain_allowed(self._http, parts.netloc):
            raise RegistryError(
                f"{what}: the token server {show_url(realm)} is not encrypted: nothing is sent there",
                hint="use --tls-verify=false if the network is to be trusted",
            )
        # a registry that wants a client certificate may be its own token server
        own = parts.netloc.lower() == self._http.host
        service = challenge.parameters.get("service", "")
        headers = {"Accept": "application/json"}
        began = time.monotonic()
        if credential is not None and credential.identity_token:
            form = {"grant_type": "refresh_token", "service": service, "client_id": "pywerf"}
            form["scope"] = " ".join(sorted(scopes))
            form["refresh_token"] = credential.identity_token
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            response = self._http.request("POST", realm, headers, urlencode(form).encode(), what=what, own=own)
        else:
            query = [("service", service)] if service else []
            query += [("scope", scope) for scope in sorted(scopes)]
            if credential is not None:
                query.append(("account", credential.username))
                headers["Authorization"] = credential.basic()
            url = f"{realm}{'&' if parts.query else '?'}{urlencode(query)}" if query else realm
            response = self._http.request("GET", url, headers, what=what, own=own)
        if response.status in (401, 403):
            response.close()
            who = "an anonymous user" if credential is None else clean(credential.username) or "the stored token"
            raise RegistryUnauthorized(
                f"{what}: {self._http.host} gives no access to {who}",
                status=response.status,
                hint=f"log in with: werf cr login {self._http.host}",
            )
        if response.status != 200:
            raise broken_status(response, f"{what}: token server {show_url(realm)}", parts.netloc, self.secrets)
        return _token_from(read_limited(response, MAX_TOKEN_BODY, what, realm), began, what)


def _covering(named: str, wanted: frozenset[str]) -> set[str]:
    """The scopes that a challenge names and that `wanted` does not cover."""
    have: dict[str, set[str]] = {}
    for scope in wanted:
        name, _, actions = scope.rpartition(":")
        have.setdefault(name, set()).update(actions.split(","))
    out = set()
    for scope in named.split():
        name, colon, actions = scope.rpartition(":")
        if colon and not set(actions.split(",")) <= have.get(name, set()):
            out.add(scope)
    return out


def _plain_allowed(http: Http, netloc: str) -> bool:
    return is_loopback(netloc) and is_loopback(http.host)


def _token_from(body: bytes, began: float, what: str) -> _Token:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RegistryError(f"{what}: the token server's answer is not JSON") from error
    value = document.get("token") or document.get("access_token") if isinstance(document, dict) else None
    if not isinstance(value, str) or not value.isascii() or not value.isprintable():
        raise RegistryError(f"{what}: the token server's answer has no token")
    seconds = document.get("expires_in")
    # the token specification: no expiry given means 60 seconds
    life = float(seconds) if isinstance(seconds, int | float) and seconds > 0 else 60.0
    return _Token(value, began, began + max(life - MARGIN, life / 2))
