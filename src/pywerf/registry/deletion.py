"""How tags and manifests of a repository are deleted: by the registry's own API, or as its vendor wants it.

A manifest that is deleted takes all of its tags along. Which of the ways a registry takes is told by its address, or by
the user (`--repo-container-registry`).
"""

from __future__ import annotations

from typing import Literal, Protocol, get_args

import msgspec

from pywerf.errors import RegistryError, RegistryNotFound, UsageError
from pywerf.oci.digest import Digest
from pywerf.registry.client import RegistryClient

__all__ = [
    "NO_VENDOR_ACCESS",
    "REGISTRY_KINDS",
    "Deletion",
    "RegistryKind",
    "StandardDeletion",
    "VendorAccess",
    "cannot_delete",
    "open_deletion",
    "registry_kind",
]

RegistryKind = Literal["acr", "default", "dockerhub", "ecr", "gcr", "github", "gitlab", "harbor", "quay"]

REGISTRY_KINDS: tuple[RegistryKind, ...] = get_args(RegistryKind)

# Answers of registries that delete manifests but no single tags (distribution 2), or have no such method at all.
_UNSUPPORTED = (400, 405, 501)


class Deletion(Protocol):
    """Deletes in one repository. Every method may be called from several threads, and is idempotent.

    Raises RegistryError, RegistryUnauthorized.
    """

    def delete_manifest(self, digest: Digest, tags: tuple[str, ...]) -> None:
        """Delete a manifest and with it its tags: `tags` are all that it has."""

    def delete_tag(self, tag: str) -> bool:
        """Take one tag away; its manifest, and other tags of it, stay. False: this registry cannot do that."""


class VendorAccess(msgspec.Struct, frozen=True):
    """Who we are for the vendor's own API (`--repo-docker-hub-…`, `--repo-github-token`)."""

    hub_username: str = ""
    hub_password: str = ""
    hub_token: str = ""
    github_token: str = ""

    def __repr__(self) -> str:
        return f"VendorAccess(hub_username={self.hub_username!r})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return [("hub_username", self.hub_username)]


NO_VENDOR_ACCESS = VendorAccess()


def registry_kind(host: str, named: str = "", flag: str = "--repo-container-registry") -> RegistryKind:
    """What a registry is, by what the user says with `flag`, else by its address. Raises UsageError."""
    if named:
        if named not in REGISTRY_KINDS:
            raise UsageError(f"{flag} {named}: no kind of registry", hint=f"known are {', '.join(REGISTRY_KINDS)}")
        return named
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    name = name.lower()
    if name in ("docker.io", "index.docker.io", "registry-1.docker.io"):
        return "dockerhub"
    if name == "ghcr.io":
        return "github"
    if name == "quay.io":
        return "quay"
    if name == "public.ecr.aws" or (".dkr.ecr." in name and ".amazonaws." in name):
        return "ecr"
    if name.endswith(".azurecr.io"):
        return "acr"
    if name == "gcr.io" or name.endswith((".gcr.io", "-docker.pkg.dev")):
        return "gcr"
    words = name.split(".")
    return "gitlab" if "gitlab" in words else "harbor" if "harbor" in words else "default"


def open_deletion(
    kind: RegistryKind, client: RegistryClient, repository: str, vendor: VendorAccess, *, api: str = ""
) -> Deletion:
    """The way to delete in a repository. `api` stands in for the vendor's own address. Raises UsageError."""
    if kind == "ecr":
        raise UsageError(
            f"{client.host}: deleting in Amazon ECR is not supported: it takes the API of AWS",
            hint="let a lifecycle policy of the repository delete what is old, "
            "or name another kind of registry with --repo-container-registry",
        )
    if kind == "dockerhub":
        from pywerf.registry.docker_hub import DockerHubDeletion

        return DockerHubDeletion(repository, vendor, client.session.settings, api=api)
    if kind == "github":
        from pywerf.registry.github_packages import GithubDeletion

        return GithubDeletion(repository, vendor, client.session.settings, api=api)
    return GitlabDeletion(client, repository) if kind == "gitlab" else StandardDeletion(client, repository)


class StandardDeletion:
    """Deletion by the distribution specification (section Content Management)."""

    def __init__(self, client: RegistryClient, repository: str) -> None:
        self.client = client
        self.repository = repository

    def delete_manifest(self, digest: Digest, tags: tuple[str, ...]) -> None:
        """Deletion."""
        try:
            self.client.delete_manifest(self.repository, str(digest))
        except RegistryNotFound:
            pass
        except RegistryError as error:
            if error.status in _UNSUPPORTED:
                raise cannot_delete(self.client.host, error) from error
            raise

    def delete_tag(self, tag: str) -> bool:
        """Deletion."""
        try:
            self.client.delete_manifest(self.repository, tag)
        except RegistryNotFound:
            # no such tag, or no such method
            return self.client.find_manifest(self.repository, tag) is None
        except RegistryError as error:
            if error.status not in _UNSUPPORTED:
                raise
            return False
        return True


class GitlabDeletion(StandardDeletion):
    """GitLab's registry, which deletes single tags: since 16.4 by the specification, before that in its own way."""

    def delete_manifest(self, digest: Digest, tags: tuple[str, ...]) -> None:
        """Deletion: tag by tag, since that is what its tokens permit; the registry's own collector does the rest."""
        if not tags or not all(self.delete_tag(tag) for tag in tags):
            super().delete_manifest(digest, tags)

    def delete_tag(self, tag: str) -> bool:
        """Deletion."""
        return super().delete_tag(tag) or self.client.delete_gitlab_tag(self.repository, tag)


def cannot_delete(host: str, error: RegistryError) -> RegistryError:
    """The error of a registry that permits no deletion, with the way out."""
    return type(error)(
        f"{host} deletes nothing: {error.message}",
        status=error.status,
        code=error.code,
        hint="permit it in the registry (docker-registry: REGISTRY_STORAGE_DELETE_ENABLED=true)",
    )
