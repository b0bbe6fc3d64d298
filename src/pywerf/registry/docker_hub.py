"""Deletes tags on Docker Hub, whose registry does not: by the API of hub.docker.com."""

from __future__ import annotations

import threading

from pywerf.errors import RegistryError, RegistryUnauthorized, UsageError
from pywerf.oci.digest import Digest
from pywerf.registry.deletion import VendorAccess
from pywerf.registry.settings import RegistrySettings
from pywerf.registry.web_api import WebApi

__all__ = ["DockerHubDeletion"]

API = "https://hub.docker.com"


class DockerHubDeletion:
    """Deletion on Docker Hub: a tag at a time, with a token or as a user (docs.docker.com, Docker Hub API)."""

    def __init__(self, repository: str, vendor: VendorAccess, settings: RegistrySettings, *, api: str = "") -> None:
        """Raises UsageError without a token and without user and password."""
        if not vendor.hub_token and not (vendor.hub_username and vendor.hub_password):
            raise UsageError(
                f"docker.io/{repository}: Docker Hub deletes tags by its own API, which wants a user",
                hint="give --repo-docker-hub-username and --repo-docker-hub-password, or --repo-docker-hub-token",
            )
        self._repository = repository
        self._vendor = vendor
        self._token = vendor.hub_token
        self._api = WebApi(api or API, settings, (vendor.hub_token, vendor.hub_password))
        self._lock = threading.Lock()

    def delete_manifest(self, digest: Digest, tags: tuple[str, ...]) -> None:
        """Deletion: all of its tags; what has none is removed by Docker Hub."""
        for tag in tags:
            self.delete_tag(tag)

    def delete_tag(self, tag: str) -> bool:
        """Deletion."""
        what = f"docker.io/{self._repository}:{tag}"
        path = f"/v2/repositories/{self._repository}/tags/{tag}/"
        headers = {"Authorization": f"JWT {self._signed_in()}"}
        try:
            self._api.request("DELETE", path, what=what, headers=headers, expect=(200, 202, 204, 404))
        except RegistryUnauthorized as error:
            error.hint = "the user of --repo-docker-hub-… may not delete in this repository"
            raise
        return True

    def _signed_in(self) -> str:
        """The token of the session; asked for once."""
        with self._lock:
            if not self._token:
                body = {"username": self._vendor.hub_username, "password": self._vendor.hub_password}
                try:
                    _, answer = self._api.request("POST", "/v2/users/login", what="Docker Hub", body=body)
                except RegistryUnauthorized as error:
                    error.hint = "check --repo-docker-hub-username and --repo-docker-hub-password"
                    raise
                token = answer.get("token") if isinstance(answer, dict) else None
                if not isinstance(token, str) or not token.isascii() or not token.isprintable():
                    raise RegistryError("Docker Hub: the answer to the login has no token")
                self._api.secrets.append(token)
                self._token = token
            return self._token
