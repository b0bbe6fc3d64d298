"""A lease service behind a lock server's address."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from pywerf.errors import LockError, LockLost, UsageError
from pywerf.locks.base import Handle
from pywerf.locks.wire import NO_LEASE, SHOULD_WAIT, AcquireOptions, AcquireRequest, Answer, HandleRequest
from pywerf.oci.document import json_decoder

if TYPE_CHECKING:
    from urllib3 import PoolManager

__all__ = ["HttpLeases", "new_client_id"]

SECONDS = 5.0  # for one request: shorter than a lease
MAX_ANSWER = 64 << 10


class HttpLeases:
    """A LeaseService: `address` is `http(s)://HOST[:PORT][/PATH]` with the client's id as its last part.

    Proxies and certificates come from the environment, as for all of urllib3's users (`SSL_CERT_FILE`).
    """

    def __init__(self, address: str) -> None:
        self._address = address.rstrip("/")
        self._pool: PoolManager | None = None

    def acquire(self, name: str, shared: bool, acquirer: str) -> Handle | None:
        answer = self._ask("acquire", AcquireRequest(name, AcquireOptions(shared, acquirer)))
        if answer.error == SHOULD_WAIT:
            return None
        self._check(answer, name)
        if answer.handle is None:
            raise LockError(f"{self._address}: no lease in the answer for lock {name!r}")
        return answer.handle

    def renew(self, handle: Handle) -> None:
        self._check(self._ask("renew-lease", HandleRequest(handle)), handle.lock_name)

    def release(self, handle: Handle) -> None:
        self._check(self._ask("release", HandleRequest(handle)), handle.lock_name)

    def close(self) -> None:
        if self._pool is not None:
            self._pool.clear()

    def _ask(self, what: str, request: msgspec.Struct) -> Answer:
        if self._pool is None:
            self._pool = _make_pool()
        return _post(self._pool, f"{self._address}/locker/{what}", request)

    def _check(self, answer: Answer, name: str) -> None:
        if not answer.error:
            return
        if answer.error == NO_LEASE:
            raise LockLost(name)
        raise LockError(f"{self._address}: lock {name!r}: {answer.error}")


def new_client_id(address: str) -> str:
    """An id that the server at `address` has given to nobody else. Raises LockError."""
    pool = _make_pool()
    try:
        answer = _post(pool, f"{address.rstrip('/')}/new-client-id", {})
    finally:
        pool.clear()
    if answer.error or not answer.client:
        raise LockError(f"{address}: {answer.error or 'no client id in the answer'}")
    return answer.client


def check_address(address: str) -> str:
    """The address of a lock server, without a slash at its end. Raises UsageError."""
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise UsageError(
            f"--synchronization {address!r} is no address of a lock server",
            hint="write http://HOST:PORT, https://HOST, redis://HOST:PORT/DB or :local",
        )
    return address.rstrip("/")


def _make_pool() -> PoolManager:
    import urllib3

    return urllib3.PoolManager(timeout=SECONDS, retries=False)


def _post(pool: PoolManager, url: str, request: msgspec.Struct | dict[str, str]) -> Answer:
    from urllib3.exceptions import HTTPError

    try:
        response = pool.request(
            "POST",
            url,
            body=msgspec.json.encode(request),
            headers={"Content-Type": "application/json"},
            preload_content=False,
        )
        try:
            data = response.read(MAX_ANSWER)
        finally:
            response.release_conn()
    except (HTTPError, OSError) as error:
        raise LockError(
            f"the lock server {url} does not answer: {error}",
            hint="is `werf synchronization` running there? --synchronization :local needs no server",
        ) from error
    if response.status != 200:
        raise LockError(f"the lock server answers {response.status} to {url}: {data[:200].decode(errors='replace')}")
    try:
        return json_decoder(Answer).decode(data)
    except msgspec.DecodeError as error:
        raise LockError(f"{url} does not answer as a lock server does: {error}") from error
