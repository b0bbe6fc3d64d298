"""Deletes images on GitHub's registry (ghcr.io), which does not by itself: by the packages API of api.github.com."""

from __future__ import annotations

import threading
from urllib.parse import quote

from pywerf.errors import RegistryError, RegistryUnauthorized, UsageError
from pywerf.oci.digest import Digest
from pywerf.registry.deletion import VendorAccess
from pywerf.registry.settings import RegistrySettings
from pywerf.registry.web_api import WebApi

__all__ = ["GithubDeletion"]

API = "https://api.github.com"


class GithubDeletion:
    """Deletion on GitHub: a package's version is a manifest, and goes with all of its tags.

    The versions are listed once, and again for a digest that was not among them
    (docs.github.com, REST API endpoints for packages).
    """

    def __init__(self, repository: str, vendor: VendorAccess, settings: RegistrySettings, *, api: str = "") -> None:
        """Raises UsageError without a token."""
        if not vendor.github_token:
            raise UsageError(
                f"ghcr.io/{repository}: GitHub deletes images by its own API, which wants a token",
                hint="give --repo-github-token one with the scopes read:packages and delete:packages",
            )
        self._repository = repository
        self._owner, _, self._package = repository.partition("/")
        self._headers = {"Authorization": f"Bearer {vendor.github_token}", "X-GitHub-Api-Version": "2022-11-28"}
        self._api = WebApi(api or API, settings, (vendor.github_token,))
        self._lock = threading.Lock()
        self._base = ""
        self._versions: dict[str, int] | None = None

    def delete_manifest(self, digest: Digest, tags: tuple[str, ...]) -> None:
        """Deletion."""
        version = self._version(str(digest))
        if version is not None:
            what = f"ghcr.io/{self._repository}@{digest}"
            path = f"{self._base}/{version}"
            self._request("DELETE", path, what, (200, 202, 204, 404))

    def delete_tag(self, tag: str) -> bool:
        """Deletion: GitHub deletes no single tags."""
        return False

    def _version(self, digest: str) -> int | None:
        with self._lock:
            fresh = self._versions is None
            if self._versions is None:
                self._versions = self._listed()
            if digest not in self._versions and not fresh:
                self._versions = self._listed()
            return self._versions.get(digest)

    def _listed(self) -> dict[str, int]:
        """The versions of the package: their ids by the digests of their manifests."""
        what = f"ghcr.io/{self._repository}"
        if not self._base:
            _, owner = self._request("GET", f"/users/{quote(self._owner)}", what)
            kind = "orgs" if isinstance(owner, dict) and owner.get("type") == "Organization" else "users"
            package = quote(self._package, safe="")
            self._base = f"/{kind}/{quote(self._owner)}/packages/container/{package}/versions"
        found: dict[str, int] = {}
        for number in range(1, 10_000):
            _, page = self._request("GET", f"{self._base}?per_page=100&page={number}", what, (200, 404))
            if not isinstance(page, list) or not page:
                return found
            for version in page:
                if isinstance(version, dict) and isinstance(version.get("id"), int):
                    found[str(version.get("name"))] = version["id"]
        raise RegistryError(f"{what}: the list of versions has no end")

    def _request(self, method: str, path: str, what: str, expect: tuple[int, ...] = (200,)) -> tuple[int, object]:
        try:
            status, document = self._api.request(method, path, what=what, headers=self._headers, expect=expect)
        except RegistryUnauthorized as error:
            error.hint = "does the token of --repo-github-token have the scopes read:packages and delete:packages?"
            raise
        return status, document
