"""Files from web servers: ADD of a URL, a tarball as build context."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NoReturn, Protocol

import msgspec

from pywerf.errors import ContextError, DigestMismatch
from pywerf.oci.digest import Digest
from pywerf.source.git_url import redact

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager

__all__ = ["Destination", "HttpResult", "Validators", "fetch", "filename_of"]

_CHUNK = 256 << 10
_MAX_REDIRECTS = 10
_MAX_WAIT = 60.0
_REDIRECTS = (301, 302, 303, 307, 308)
_PRIVATE = frozenset(("authorization", "cookie", "proxy-authorization"))


class Destination(Protocol):
    """Where a body is written: a binary file that a second attempt can take back (seek and truncate)."""

    def write(self, data: bytes, /) -> object: ...
    def seek(self, offset: int, /) -> object: ...
    def tell(self) -> int: ...
    def truncate(self) -> object: ...


class Validators(msgspec.Struct, frozen=True):
    """What an earlier HttpResult said, to ask whether the file is still the same."""

    etag: str = ""
    last_modified: str = ""


class HttpResult(msgspec.Struct, frozen=True):
    """One download. `digest` (sha256) and `size` are None and 0 when it is `not_modified`: then nothing was written.

    `filename` is the one of Content-Disposition, else of the URL, else `download`. `etag` and `last_modified`
    are as the server sent them. `mtime` is Last-Modified in seconds since 1970, 0 when it said none: the time
    that docker and BuildKit give the file.
    """

    url: str
    digest: Digest | None
    size: int
    filename: str
    etag: str
    last_modified: str
    mtime: int
    not_modified: bool = False


class _Broken(Exception):
    """An attempt that failed in a way that another one may not; `wait` in seconds, when the server said."""

    def __init__(self, error: ContextError, wait: float | None = None) -> None:
        super().__init__(error.message)
        self.error = error
        self.wait = wait


def fetch(
    url: str,
    destination: Destination,
    *,
    validators: Validators | None = None,
    checksum: Digest | None = None,
    headers: Mapping[str, str] | None = None,
    retries: int = 3,
    backoff: float = 0.5,
    timeout: float = 60.0,
    progress: Callable[[int, int], None] | None = None,
) -> HttpResult:
    """Download `url` (http or https) into `destination`, from where it stands.

    The bytes are those that the server has: no content encoding is asked for, and none is undone. Redirects
    are followed (credentials stay within one origin), proxies come from the environment, a user and password
    in the URL become basic authorization. `headers` are added. Connection failures, damaged bodies and
    statuses that may pass (408, 429, 5xx) are tried again `retries` times. `progress(bytes, total or 0)`.

    Raises ContextError (without secrets in its message) and DigestMismatch: what was written is then of no use.
    """
    import random
    import time

    start = destination.tell()
    for attempt in range(retries + 1):
        try:
            return _attempt(url, destination, validators, checksum, dict(headers or {}), timeout, progress)
        except _Broken as broken:
            if attempt == retries:
                raise broken.error from broken.__cause__
            destination.seek(start)
            destination.truncate()
            wait = broken.wait if broken.wait is not None else backoff * 2**attempt * random.uniform(0.5, 1.0)
            time.sleep(min(wait, _MAX_WAIT))
    raise AssertionError("unreachable")


def filename_of(url: str, content_disposition: str = "") -> str:
    """The name of a download: from the header, else the last name of the URL's path; "" when neither has one."""
    if content_disposition:
        from email.message import Message

        message = Message()
        message["content-disposition"] = content_disposition
        name = message.get_filename() or ""
        base = "" if name.endswith("/") else name.rpartition("/")[2]
        if _is_name(base):
            return base
    from urllib.parse import unquote, urlsplit

    base = unquote(urlsplit(url).path).rstrip("/").rpartition("/")[2]
    return base if _is_name(base) else ""


def _is_name(name: str) -> bool:
    return name not in ("", ".", "..") and "/" not in name and "\0" not in name


def _attempt(
    url: str,
    destination: Destination,
    validators: Validators | None,
    checksum: Digest | None,
    headers: dict[str, str],
    timeout: float,
    progress: Callable[[int, int], None] | None,
) -> HttpResult:
    headers = {"User-Agent": "pywerf", "Accept": "*/*", "Accept-Encoding": "identity", **headers}
    if validators is not None and validators.etag:
        headers["If-None-Match"] = validators.etag
    elif validators is not None and validators.last_modified:
        headers["If-Modified-Since"] = validators.last_modified
    pools: list[PoolManager] = []
    try:
        final, response = _follow(url, headers, timeout, pools)
        try:
            return _answer(url, final, response, destination, validators, checksum, progress)
        finally:
            response.close()
    finally:
        for pool in pools:
            pool.clear()


def _answer(
    url: str,
    final: str,
    response: BaseHTTPResponse,
    destination: Destination,
    validators: Validators | None,
    checksum: Digest | None,
    progress: Callable[[int, int], None] | None,
) -> HttpResult:
    etag = response.headers.get("ETag", "")
    last_modified = response.headers.get("Last-Modified", "")
    name = filename_of(url, response.headers.get("Content-Disposition", "")) or "download"
    if response.status == 304 and validators is None:
        raise ContextError(f"{redact(url)}: the server answered 304 to a question that was not asked")
    # Some servers ignore If-None-Match, but send the same ETag again.
    same = validators is not None and validators.etag != "" and _weak(etag) == _weak(validators.etag)
    if validators is not None and (response.status == 304 or (same and response.status == 200)):
        etag = etag or validators.etag
        last_modified = last_modified or validators.last_modified
        return HttpResult(final, None, 0, name, etag, last_modified, _seconds(last_modified), True)
    if not 200 <= response.status < 300:
        _refuse(url, response)
    digest, size = _receive(url, response, destination, checksum, progress)
    return HttpResult(final, digest, size, name, etag, last_modified, _seconds(last_modified))


def _follow(
    url: str, headers: dict[str, str], timeout: float, pools: list[PoolManager]
) -> tuple[str, BaseHTTPResponse]:
    """The first answer that is no redirect, with its URL."""
    from urllib.parse import urljoin, urlsplit

    import urllib3
    from urllib3.exceptions import HTTPError

    here = url
    for _ in range(_MAX_REDIRECTS + 1):
        parts = urlsplit(here)
        if parts.scheme.lower() not in ("http", "https") or not parts.hostname:
            raise ContextError(f"{redact(here)}: not an http or https URL", hint=f"it was named by {redact(url)}")
        sent = dict(headers)
        host = parts.netloc.rpartition("@")[2]
        if "@" in parts.netloc:
            sent.setdefault("Authorization", _basic(parts.username or "", parts.password or ""))
        target = parts._replace(netloc=host, fragment="").geturl()
        try:
            pool = _pool(target)
            pools.append(pool)
            response = pool.request(
                "GET",
                target,
                headers=sent,
                preload_content=False,
                decode_content=False,
                redirect=False,
                retries=False,
                timeout=urllib3.Timeout(connect=min(timeout, 30.0), read=timeout),
            )
        except (HTTPError, OSError, ValueError) as error:
            _fail(here, error)
        location = response.headers.get("Location")
        if response.status not in _REDIRECTS or not location:
            return here, response
        response.close()
        there = urljoin(target, location)
        if _origin(there) != _origin(target):
            headers = {key: value for key, value in headers.items() if key.lower() not in _PRIVATE}
        elif "Authorization" in sent:
            headers = {**headers, "Authorization": sent["Authorization"]}
        here = there
    raise ContextError(f"{redact(url)}: more than {_MAX_REDIRECTS} redirects")


def _receive(
    url: str,
    response: BaseHTTPResponse,
    destination: Destination,
    checksum: Digest | None,
    progress: Callable[[int, int], None] | None,
) -> tuple[Digest, int]:
    from urllib3.exceptions import HTTPError

    content = hashlib.sha256()
    other = hashlib.new(checksum.algorithm) if checksum is not None and checksum.algorithm != "sha256" else None
    size = 0
    length = response.headers.get("Content-Length", "")
    total = int(length) if length.isdigit() else 0
    while True:
        try:
            chunk = response.read(_CHUNK)
        except (HTTPError, OSError) as error:
            _fail(url, error)
        if not chunk:
            break
        content.update(chunk)
        if other is not None:
            other.update(chunk)
        destination.write(chunk)
        size += len(chunk)
        if progress is not None:
            progress(size, total)
    digest = Digest.sha256(content.hexdigest())
    if checksum is not None:
        actual = digest if other is None else Digest(checksum.algorithm, other.hexdigest())
        if actual != checksum:
            raise DigestMismatch(redact(url), str(checksum), str(actual))
    return digest, size


def _pool(url: str) -> PoolManager:
    """Connections that honour HTTP_PROXY, HTTPS_PROXY and NO_PROXY."""
    from urllib.parse import unquote, urlsplit
    from urllib.request import getproxies_environment, proxy_bypass

    import urllib3
    from urllib3.util import make_headers, parse_url

    parts = urlsplit(url)
    proxies = getproxies_environment()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or proxy_bypass(parts.netloc, proxies):
        return urllib3.PoolManager(num_pools=1)
    if "://" not in proxy:
        proxy = f"http://{proxy}"
    auth = parse_url(proxy).auth
    proxy_headers = make_headers(proxy_basic_auth=unquote(auth)) if auth else None
    return urllib3.ProxyManager(proxy, num_pools=1, proxy_headers=proxy_headers)


def _fail(url: str, error: Exception) -> NoReturn:
    """Translate a failure of the connection; all but a certificate's may pass."""
    from urllib3.exceptions import LocationValueError, SSLError

    reason = getattr(error, "reason", None) or error
    if isinstance(reason, SSLError) or isinstance(error, SSLError):
        raise ContextError(
            f"{redact(url)}: the server's certificate is not trusted: {reason}",
            hint="name the authority that signed it in the file that SSL_CERT_FILE points to",
        ) from error
    if isinstance(error, (LocationValueError, ValueError)):
        raise ContextError(f"{redact(url)}: {error}") from error
    text = str(reason).rpartition(": ")[2] if "object at 0x" in str(reason) else str(reason)
    raise _Broken(ContextError(f"{redact(url)}: cannot be downloaded: {text}")) from error


def _refuse(url: str, response: BaseHTTPResponse) -> NoReturn:
    status = response.status
    hint = None
    if status in (401, 403):
        hint = "the server wants credentials: a user and password in the URL, or an authorization header"
    elif status == 404:
        hint = "check the URL"
    error = ContextError(f"{redact(url)}: the server answered {status} {response.reason or ''}".rstrip(), hint=hint)
    if status in (408, 429) or (status >= 500 and status not in (501, 505)):
        raise _Broken(error, _retry_after(response.headers.get("Retry-After", "")))
    raise error


def _retry_after(value: str) -> float | None:
    """Seconds (RFC 9110, 10.2.3); a date is left to the back-off."""
    return float(value) if value.isdigit() and len(value) < 6 else None


def _basic(user: str, password: str) -> str:
    from base64 import b64encode
    from urllib.parse import unquote

    return "Basic " + b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode()


def _origin(url: str) -> tuple[str, str, int]:
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or (443 if parts.scheme == "https" else 80)


def _weak(etag: str) -> str:
    return etag.removeprefix("W/")


def _seconds(last_modified: str) -> int:
    """Last-Modified in seconds since 1970; 0 when there is none that can be read."""
    if not last_modified:
        return 0
    from email.utils import parsedate_to_datetime

    try:
        return max(0, int(parsedate_to_datetime(last_modified).timestamp()))
    except (ValueError, TypeError, OverflowError):
        return 0
