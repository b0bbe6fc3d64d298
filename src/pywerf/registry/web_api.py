"""JSON over HTTP to a vendor's own API, beside its registry."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from typing import Any
from urllib.parse import urlsplit

from pywerf.errors import RegistryError
from pywerf.registry.http import Http, read_limited
from pywerf.registry.responses import broken_status
from pywerf.registry.retry import Broken, Patience
from pywerf.registry.settings import RegistrySettings

__all__ = ["WebApi"]

_MAX_BODY = 16 << 20


class WebApi:
    """One API, at `base` (without a slash at its end). Safe for use by several threads.

    Redirects are not followed: credentials go to `base` alone. `secrets` are kept out of errors.
    """

    def __init__(self, base: str, settings: RegistrySettings, secrets: Iterable[str] = ()) -> None:
        self.base = base
        self.secrets = [secret for secret in secrets if secret]
        self._settings = settings
        self._http = Http(urlsplit(base).netloc, settings, verify=True)

    def request(
        self,
        method: str,
        path: str,
        *,
        what: str,
        headers: dict[str, str] | None = None,
        body: Any = None,
        expect: Collection[int] = (200,),
    ) -> tuple[int, Any]:
        """The status and the document of an answer whose status is one of `expect`.

        Raises RegistryError and its kinds.
        """
        data = None if body is None else json.dumps(body).encode()
        sent = {"Accept": "application/json", **({"Content-Type": "application/json"} if data else {})}
        patience = Patience(self._settings.retries, self._settings.backoff)
        while True:
            try:
                response = self._http.request(
                    method, self.base + path, {**sent, **(headers or {})}, data, what=what, own=False
                )
                if response.status not in expect:
                    raise broken_status(response, what, urlsplit(self.base).netloc, self.secrets)
                text = read_limited(response, _MAX_BODY, what, self.base + path)
                break
            except Broken as broken:
                patience.wait_after(broken)
        try:
            document = json.loads(text) if text.strip() else None
        except (ValueError, RecursionError) as error:
            if response.status < 300:
                raise RegistryError(f"{what}: the answer is not JSON") from error
            document = None
        return response.status, document

    def close(self) -> None:
        """Close idle connections. Idempotent."""
        self._http.close()
