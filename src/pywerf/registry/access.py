"""All registries as one user sees them: settings, registries.conf, credentials, and one client for each host."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pywerf.errors import RegistryConfigError, RegistryError
from pywerf.oci.reference import Reference
from pywerf.registry.client import RegistryClient
from pywerf.registry.credentials import Credential, find_credential
from pywerf.registry.registries_conf import Endpoint, Registries, load_registries
from pywerf.registry.session import Schemes
from pywerf.registry.settings import DEFAULT_SETTINGS, RegistrySettings

if TYPE_CHECKING:
    from pywerf.registry.docker_registry import RegistryDestination, RegistrySource

__all__ = ["RegistryAccess"]


class RegistryAccess:
    """The way to every registry. Makes no request by itself; safe for use by several threads.

    `environ` is the user's environment (os.environ when None); `registries` replaces what the
    configuration files say.
    """

    def __init__(
        self,
        settings: RegistrySettings = DEFAULT_SETTINGS,
        *,
        environ: Mapping[str, str] | None = None,
        registries: Registries | None = None,
    ) -> None:
        self.settings = settings
        self.environ = os.environ if environ is None else environ
        self._registries = registries
        self._clients: dict[tuple[str, str, bool], RegistryClient] = {}
        self._schemes = Schemes()
        self._lock = threading.Lock()

    @property
    def registries(self) -> Registries:
        """registries.conf, read at the first use. Raises RegistryConfigError."""
        with self._lock:
            if self._registries is None:
                self._registries = load_registries(self.environ).with_mirrors(self.settings.mirrors)
            return self._registries

    def candidates(self, reference: Reference) -> tuple[Reference, ...]:
        """What a reference may stand for, in the order to try: itself, or what a short name is short for."""
        return self.registries.candidates(reference)

    def credential(self, host: str, repository: str = "") -> Credential | None:
        """Who the user is there. Raises RegistryConfigError for auth files and helpers that fail."""
        return find_credential(host, repository, self.settings, self.environ, self.registries.credential_helpers)

    def client(self, endpoint: Endpoint) -> RegistryClient:
        """The client for an endpoint; credentials may differ between the repositories of a registry."""
        host, repository, insecure = endpoint.host, endpoint.repository, endpoint.insecure
        with self._lock:
            client = self._clients.get((host, repository, insecure))
            if client is None:
                client = self._clients[host, repository, insecure] = RegistryClient(
                    host,
                    self.settings,
                    insecure=insecure,
                    credential=lambda: self.credential(host, repository),
                    schemes=self._schemes,
                )
            return client

    def source(self, reference: Reference) -> RegistrySource:
        """The image as it can be pulled. A short name is looked for in every place that it may stand for.

        One request: the first place that has the manifest is the source. Raises RegistryError,
        RegistryNotFound, RegistryUnauthorized with what the (last) registry itself said.
        """
        from pywerf.registry.docker_registry import RegistrySource

        failures: list[tuple[Reference, RegistryError]] = []
        for candidate in self.candidates(reference):
            for endpoint in self.registries.resolve(candidate.tagged()):
                found = RegistrySource(self.client(endpoint), endpoint.reference, candidate.tagged())
                try:
                    found.manifest()
                except RegistryConfigError:
                    raise
                except RegistryError as error:
                    failures.append((endpoint.reference, error))
                else:
                    return found
        raise _all_failed(reference, failures)

    def destination(self, reference: Reference, mount_from: Sequence[Reference] = ()) -> RegistryDestination:
        """Where to push a full reference. Blobs that a reference in `mount_from` has are mounted if it is near."""
        from pywerf.registry.docker_registry import RegistryDestination

        endpoint = self.registries.resolve_push(self.candidates(reference)[0].tagged())
        origins: list[str] = []
        for near in mount_from:
            where = self.registries.resolve_push(near)
            if where.host == endpoint.host and where.repository not in (endpoint.repository, *origins):
                origins.append(where.repository)
        return RegistryDestination(self.client(endpoint), endpoint.reference, tuple(origins))

    def check_login(self, host: str) -> None:
        """Ask a registry whether it takes our credentials. Raises RegistryUnauthorized."""
        entry = self.registries.find(Reference(host, "login"))
        insecure = entry is not None and entry.insecure
        client = RegistryClient(host, self.settings, insecure=insecure, credential=lambda: self.credential(host))
        try:
            client.ping()
        finally:
            client.close()

    def close(self) -> None:
        """Close all idle connections. Idempotent."""
        with self._lock:
            clients = list(self._clients.values())
        for client in clients:
            client.close()


def _all_failed(reference: Reference, failures: list[tuple[Reference, RegistryError]]) -> RegistryError:
    last = failures[-1][1]
    if len(failures) == 1:
        return last
    tried = "; ".join(error.message for _, error in failures[:-1])
    said = f"{last.message} (tried before: {tried})"
    return type(last)(said, status=last.status, code=last.code, hint=last.hint)
