"""One daemon: the connection that the docker SDK keeps, the API version that both sides speak, a quick probe."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from socket import SHUT_RDWR, socket
from typing import TYPE_CHECKING, Any

from pywerf.backend.docker.errors import explain, translated
from pywerf.errors import BuildError, RegistryError
from pywerf.registry import docker_host
from pywerf.registry.docker_host import DockerEndpoint, find_endpoint
from pywerf.util.stop_switch import StopSwitch

if TYPE_CHECKING:
    from http.client import HTTPConnection

    from docker import APIClient
    from docker.auth import AuthConfig

__all__ = ["Daemon", "probe"]

MIN_API = (1, 39)
"""The API of Docker 18.09, the first whose daemon has BuildKit."""
KNOWN_API = (1, 44)
"""The newest API that we were written for (Docker 25)."""
TIMEOUT = 600  # seconds without a word from the daemon


def probe(environ: Mapping[str, str], timeout: float = 5.0) -> RegistryError | None:
    """None when a daemon answers (GET /_ping), else why not. Loads neither the SDK nor its libraries."""
    from http.client import HTTPException

    try:
        endpoint = find_endpoint(environ)
        connection = docker_host.connect(endpoint, timeout)
        try:
            connection.request("GET", "/_ping")
            response = connection.getresponse()
            response.read()
        finally:
            connection.close()
    except RegistryError as error:
        return error
    except (OSError, HTTPException) as error:
        return RegistryError(
            f"the Docker daemon at {endpoint} does not answer: {error}",
            hint="is it a Docker daemon that listens there?",
        )
    if response.status != 200:
        return RegistryError(f"the Docker daemon at {endpoint} answers with status {response.status}")
    return None


class Daemon:
    """A daemon that has answered. Use it as a context manager. `version` is its own, `api` what is spoken with it."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        """Raises RegistryError when it cannot be reached, BuildError when it is too old."""
        self.environ = environ
        self.endpoint: DockerEndpoint = find_endpoint(environ)
        self._api: APIClient | None = None
        self._containerd_store: bool | None = None
        self.stopping = StopSwitch()
        info = self._ask()
        self.version = str(info.get("Version", ""))
        self.os = str(info.get("Os", "linux"))
        self.architecture = str(info.get("Arch", "amd64"))
        self.newest_api = _numbers(info.get("ApiVersion"))
        # what both know; a daemon that no longer speaks what we know is spoken to in the oldest that it does
        self.api_version = max(min(self.newest_api, KNOWN_API), _numbers(info.get("MinAPIVersion")))
        if self.newest_api < MIN_API:
            raise BuildError(
                f"the Docker daemon at {self.endpoint} is too old: {self.version}, API {info.get('ApiVersion')}",
                hint="18.09 (API 1.39) and newer can be used; WERF_BUILDAH_MODE=auto needs no daemon",
            )

    def _ask(self) -> dict[str, Any]:
        from http.client import HTTPException

        connection = self.connection(30.0)
        try:
            connection.request("GET", "/version")
            response = connection.getresponse()
            body = response.read()
            document: Any = json.loads(body) if response.status == 200 else None
        except (OSError, ValueError, HTTPException) as error:
            why = "ssh ended" if self.endpoint.scheme == "ssh" else str(error)
            raise RegistryError(
                f"the Docker daemon at {self.endpoint} does not answer: {why}",
                hint=f"is it a Docker daemon that listens there? (it is {self.endpoint.origin})",
            ) from error
        finally:
            connection.close()
        if not isinstance(document, dict):
            raise self.refused(response.status, body, f"the Docker daemon at {self.endpoint}")
        return document

    @property
    def api(self) -> APIClient:
        """The client of the docker SDK, in the negotiated version."""
        if self._api is None:
            import docker

            with self.translated():
                self._api = docker.APIClient(
                    base_url=self.endpoint.host,
                    version="{}.{}".format(*self.api_version),
                    timeout=TIMEOUT,
                    tls=self._tls(),
                    use_ssh_client=True,
                )
        return self._api

    def _tls(self) -> Any:
        from docker.tls import TLSConfig

        where = self.endpoint
        if not where.tls:
            return False
        pair = (where.cert, where.key) if where.cert and where.key else None
        return TLSConfig(client_cert=pair, ca_cert=where.ca or None, verify=where.verify)

    @property
    def containerd_store(self) -> bool:
        """Whether images are kept by containerd: then their ids are the digests of manifests, not of configs."""
        if self._containerd_store is None:
            with self.translated():
                status = self.api.info().get("DriverStatus") or []
            self._containerd_store = ["driver-type", "io.containerd.snapshotter.v1"] in status
        return self._containerd_store

    def __enter__(self) -> Daemon:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections. Idempotent."""
        if self._api is not None:
            self._api.close()
            self._api = None

    def translated(self, what: str = "", *, image: str = "") -> AbstractContextManager[None]:
        """Errors of the SDK within, as ours."""
        return translated(self.endpoint, what, image=image)

    def connection(self, timeout: float | None = None) -> HTTPConnection:
        """A connection of one's own, for what the SDK has no words for."""
        return docker_host.connect(self.endpoint, timeout)

    @contextmanager
    def conversation(self, before_stop: Callable[[], None] | None = None) -> Iterator[HTTPConnection]:
        """A connection for something that takes its time, and that `stopping` ends: the daemon sees it close.

        `before_stop` is called before that, by the thread that stops. Raises BuildStopped for what was stopped.
        """
        self.stopping.check()
        connection = self.connection()
        peer = connection.sock

        def stop() -> None:
            if before_stop is not None:
                before_stop()
            with suppress(OSError):
                # that of TLS would take away from the other thread what it reads with
                socket.shutdown(peer, SHUT_RDWR)

        try:
            with self.stopping.during(stop):
                yield connection
                self.stopping.check()
        except Exception:
            self.stopping.check()
            raise
        finally:
            connection.close()

    def path(self, rest: str) -> str:
        """The path of an endpoint in the API version that both sides speak."""
        return f"/v{self.api_version[0]}.{self.api_version[1]}{rest}"

    def auth_header(self) -> dict[str, str]:
        """X-Registry-Config: who we are for all registries that config.json and its helpers know."""
        import base64

        with self.translated("docker's config.json"):
            found = self._auth().get_all_credentials()  # type: ignore[no-untyped-call]  # incomplete stubs
        known = {name: entry for name, entry in found.items() if entry}
        if not known:
            return {}
        return {"X-Registry-Config": base64.urlsafe_b64encode(json.dumps(known).encode()).decode()}

    def registry_auth(self, image: str) -> dict[str, str]:
        """X-Registry-Auth: who we are for the registry of one image; the daemon wants it for every push."""
        import base64

        from docker.auth import resolve_repository_name

        registry, _ = resolve_repository_name(image)
        known = dict(self.credentials(registry) or {})
        return {"X-Registry-Auth": base64.urlsafe_b64encode(json.dumps(known).encode()).decode()}

    def credentials(self, registry: str) -> Mapping[str, Any] | None:
        """Who we are for one registry, by the key that config.json has it under."""
        with self.translated("docker's config.json"):
            found: Mapping[str, Any] | None = self._auth().resolve_authconfig(registry)
        return found

    def _auth(self) -> AuthConfig:
        from docker.auth import load_config
        from docker.utils.config import find_config_file

        if find_config_file() is None:
            from docker.auth import AuthConfig

            return AuthConfig({})
        return load_config()

    def refused(self, status: int, body: bytes, what: str, *, image: str = "") -> Exception:
        """The error for an answer that is none."""
        try:
            document = json.loads(body)
            message = str(document.get("message", document)) if isinstance(document, dict) else str(document)
        except ValueError:
            message = body.decode("utf-8", "replace")
        return explain(message, status, what=what, image=image)


def _numbers(version: object) -> tuple[int, int]:
    """`1.41` as two numbers; (0, 0) for what is none."""
    major, _, minor = str(version or "").partition(".")
    return (int(major), int(minor)) if major.isdigit() and minor.isdigit() else (0, 0)
