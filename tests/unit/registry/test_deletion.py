"""Deleting in registries: the specification's way, and those of vendors, at the wire."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pywerf.errors import RegistryError, RegistryUnauthorized, UsageError
from pywerf.oci.digest import Digest
from pywerf.registry.client import RegistryClient
from pywerf.registry.deletion import (
    Deletion,
    GitlabDeletion,
    RegistryKind,
    StandardDeletion,
    VendorAccess,
    open_deletion,
    registry_kind,
)
from support.fake_registry import FakeRegistry
from support.vendor_api import VendorApi, serve_api

REPO = "shop/web"
DIGEST = Digest.parse("sha256:" + "ab" * 32)
OTHER = Digest.parse("sha256:" + "cd" * 32)


@pytest.mark.parametrize(
    ("host", "kind"),
    [
        ("docker.io", "dockerhub"),
        ("ghcr.io", "github"),
        ("quay.io", "quay"),
        ("gcr.io", "gcr"),
        ("eu.gcr.io", "gcr"),
        ("europe-west1-docker.pkg.dev", "gcr"),
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com", "ecr"),
        ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", "ecr"),
        ("public.ecr.aws", "ecr"),
        ("mine.azurecr.io", "acr"),
        ("registry.gitlab.com", "gitlab"),
        ("gitlab.example.org:5050", "gitlab"),
        ("harbor.example.org", "harbor"),
        ("registry.example.org", "default"),
        ("localhost:5000", "default"),
    ],
)
def test_the_kind_of_a_registry_by_its_address(host: str, kind: RegistryKind) -> None:
    assert registry_kind(host) == kind
    assert registry_kind(host, "harbor") == "harbor"


def test_a_kind_that_nobody_knows() -> None:
    with pytest.raises(UsageError, match="no kind of registry") as caught:
        registry_kind("localhost", "nexus")
    assert "gitlab" in (caught.value.hint or "")


def test_nothing_is_deleted_in_amazons_registry(client: RegistryClient) -> None:
    with pytest.raises(UsageError, match="Amazon ECR is not supported"):
        open_deletion("ecr", client, REPO, VendorAccess())


@pytest.mark.parametrize("kind", ["default", "harbor", "quay", "gcr", "acr"])
def test_others_are_standard(client: RegistryClient, kind: RegistryKind) -> None:
    assert type(open_deletion(kind, client, REPO, VendorAccess())) is StandardDeletion


# the specification's way


def push(registry: FakeRegistry, *tags: str) -> Digest:
    for tag in tags:
        digest = registry.add_image(REPO, tag, (tags[0].encode(),))
    return Digest.parse(digest)


@pytest.fixture
def standard(client: RegistryClient) -> StandardDeletion:
    return StandardDeletion(client, REPO)


def test_a_manifest_is_deleted_by_its_digest(fake_registry: FakeRegistry, standard: StandardDeletion) -> None:
    digest = push(fake_registry, "a")
    standard.delete_manifest(digest, ("a",))
    assert [str(request) for request in fake_registry.seen("DELETE")] == [f"DELETE /v2/{REPO}/manifests/{digest}"]
    standard.delete_manifest(digest, ("a",))  # idempotent


def test_a_tag_is_deleted_alone(fake_registry: FakeRegistry, standard: StandardDeletion) -> None:
    digest = push(fake_registry, "a", "b")
    assert standard.delete_tag("a")
    assert (REPO, "a") not in fake_registry.manifests
    assert (REPO, "b") in fake_registry.manifests
    assert (REPO, str(digest)) in fake_registry.manifests
    assert standard.delete_tag("a")


@pytest.mark.parametrize("status", [400, 405, 501])
def test_a_registry_that_deletes_no_tags(fake_registry: FakeRegistry, standard: StandardDeletion, status: int) -> None:
    push(fake_registry, "a")
    fake_registry.fail("DELETE", "/manifests/a", status)
    assert not standard.delete_tag("a")
    fake_registry.fail("DELETE", "/manifests/a", 404)
    assert not standard.delete_tag("a")


def test_a_registry_that_deletes_nothing_at_all(fake_registry: FakeRegistry, standard: StandardDeletion) -> None:
    digest = push(fake_registry, "a")
    body = {"errors": [{"code": "UNSUPPORTED", "message": "The operation is unsupported."}]}
    fake_registry.fail("DELETE", "/manifests/", 405, body=body)
    with pytest.raises(RegistryError, match=r"deletes nothing: .*The operation is unsupported") as caught:
        standard.delete_manifest(digest, ("a",))
    assert "REGISTRY_STORAGE_DELETE_ENABLED=true" in (caught.value.hint or "")


def test_who_may_not_delete_is_told_so(fake_registry: FakeRegistry, standard: StandardDeletion) -> None:
    digest = push(fake_registry, "a")
    fake_registry.fail("DELETE", "/manifests/", 403, times=2)
    with pytest.raises(RegistryUnauthorized):
        standard.delete_manifest(digest, ("a",))
    with pytest.raises(RegistryUnauthorized):
        standard.delete_tag("a")


# GitLab


def test_gitlab_deletes_tags(fake_registry: FakeRegistry, client: RegistryClient) -> None:
    digest = push(fake_registry, "a", "b", "c")
    gitlab = open_deletion("gitlab", client, REPO, VendorAccess())
    assert isinstance(gitlab, GitlabDeletion)
    gitlab.delete_manifest(digest, ("a", "b"))
    assert {str(request) for request in fake_registry.seen("DELETE")} == {
        f"DELETE /v2/{REPO}/manifests/a",
        f"DELETE /v2/{REPO}/manifests/b",
    }
    assert (REPO, "c") in fake_registry.manifests


def test_an_older_gitlab_deletes_tags_in_its_own_way(fake_registry: FakeRegistry, client: RegistryClient) -> None:
    push(fake_registry, "a")
    fake_registry.fail("DELETE", "/manifests/a", 404)
    fake_registry.fail("DELETE", "/tags/reference/a", 202)
    assert GitlabDeletion(client, REPO).delete_tag("a")
    assert fake_registry.seen("DELETE")[-1].path == f"/v2/{REPO}/tags/reference/a"


def test_a_gitlab_that_knows_neither_deletes_the_manifest(fake_registry: FakeRegistry, client: RegistryClient) -> None:
    digest = push(fake_registry, "a")
    fake_registry.fail("DELETE", "/manifests/a", 405)
    GitlabDeletion(client, REPO).delete_manifest(digest, ("a",))
    assert fake_registry.seen("DELETE")[-1].path == f"/v2/{REPO}/manifests/{digest}"


# Docker Hub


@pytest.fixture
def api() -> Iterator[VendorApi]:
    with serve_api() as server:
        yield server


def hub(client: RegistryClient, api: VendorApi, **access: str) -> Deletion:
    return open_deletion("dockerhub", client, REPO, VendorAccess(**access), api=api.url)


def test_docker_hub_wants_a_user(client: RegistryClient, api: VendorApi) -> None:
    with pytest.raises(UsageError, match="wants a user") as caught:
        hub(client, api, hub_username="me")
    assert "--repo-docker-hub-token" in (caught.value.hint or "")


def test_docker_hub_with_user_and_password(client: RegistryClient, api: VendorApi) -> None:
    api.answers["POST /v2/users/login"] = (200, {"token": "jwt-1"})
    api.answers[f"DELETE /v2/repositories/{REPO}/tags/a/"] = (204, None)
    deletion = hub(client, api, hub_username="me", hub_password="s3cret")
    deletion.delete_manifest(DIGEST, ("a", "gone"))
    assert deletion.delete_tag("a")
    assert api.asked() == [
        "POST /v2/users/login",
        f"DELETE /v2/repositories/{REPO}/tags/a/",
        f"DELETE /v2/repositories/{REPO}/tags/gone/",
        f"DELETE /v2/repositories/{REPO}/tags/a/",
    ]
    assert api.requests[0].body == {"username": "me", "password": "s3cret"}
    assert {request.authorization for request in api.requests[1:]} == {"JWT jwt-1"}


def test_docker_hub_with_a_token(client: RegistryClient, api: VendorApi) -> None:
    api.answers[f"DELETE /v2/repositories/{REPO}/tags/a/"] = (204, None)
    assert hub(client, api, hub_token="t0ken").delete_tag("a")
    assert [request.authorization for request in api.requests] == ["JWT t0ken"]


def test_docker_hubs_refusals_show_no_secrets(client: RegistryClient, api: VendorApi) -> None:
    api.answers["POST /v2/users/login"] = (401, {"detail": "wrong: s3cret"})
    with pytest.raises(RegistryUnauthorized) as caught:
        hub(client, api, hub_username="me", hub_password="s3cret").delete_tag("a")
    assert "s3cret" not in f"{caught.value.message}{caught.value.hint}"
    assert "--repo-docker-hub-password" in (caught.value.hint or "")
    api.answers[f"DELETE /v2/repositories/{REPO}/tags/a/"] = (403, {"message": "no"})
    with pytest.raises(RegistryUnauthorized, match=r"docker\.io/shop/web:a: no"):
        hub(client, api, hub_token="t0ken").delete_tag("a")


@pytest.mark.parametrize("answer", [{}, [], {"token": "a\nb"}, {"token": 7}])
def test_a_login_without_a_token(client: RegistryClient, api: VendorApi, answer: object) -> None:
    api.answers["POST /v2/users/login"] = (200, answer)
    with pytest.raises(RegistryError, match="has no token"):
        hub(client, api, hub_username="me", hub_password="s3cret").delete_tag("a")


def test_the_secrets_of_vendors_are_in_no_representation() -> None:
    access = VendorAccess("me", "p4ss", "t0ken", "gh0")
    assert not any(secret in f"{access!r}{access.__rich_repr__()}" for secret in ("p4ss", "t0ken", "gh0"))


# GitHub

VERSIONS = "/orgs/shop/packages/container/team%2Fweb/versions"


def github(client: RegistryClient, api: VendorApi, token: str = "t0ken") -> Deletion:
    return open_deletion("github", client, "shop/team/web", VendorAccess(github_token=token), api=api.url)


def versions(api: VendorApi, base: str = VERSIONS) -> None:
    api.answers |= {
        f"GET {base}?per_page=100&page=1": (200, [{"id": 1, "name": str(OTHER)}, "nonsense"]),
        f"GET {base}?per_page=100&page=2": (200, [{"id": 2, "name": str(DIGEST)}]),
        f"GET {base}?per_page=100&page=3": (200, []),
        f"DELETE {base}/2": (204, None),
    }


def test_github_wants_a_token(client: RegistryClient, api: VendorApi) -> None:
    with pytest.raises(UsageError, match="wants a token"):
        github(client, api, "")


def test_github_deletes_the_version_of_a_manifest(client: RegistryClient, api: VendorApi) -> None:
    api.answers["GET /users/shop"] = (200, {"type": "Organization"})
    versions(api)
    deletion = github(client, api)
    assert not deletion.delete_tag("a")
    deletion.delete_manifest(DIGEST, ("a",))
    assert api.asked()[-1] == f"DELETE {VERSIONS}/2"
    assert {request.authorization for request in api.requests} == {"Bearer t0ken"}
    asked = len(api.requests)
    deletion.delete_manifest(DIGEST, ("a",))
    assert len(api.requests) == asked + 1  # the list is remembered


def test_github_of_a_user_and_a_version_that_is_gone(client: RegistryClient, api: VendorApi) -> None:
    api.answers["GET /users/shop"] = (200, {"type": "User"})
    versions(api, "/users/shop/packages/container/team%2Fweb/versions")
    deletion = github(client, api)
    deletion.delete_manifest(DIGEST, ("a",))
    assert api.asked()[-1] == "DELETE /users/shop/packages/container/team%2Fweb/versions/2"
    asked = len(api.requests)
    deletion.delete_manifest(Digest.parse("sha256:" + "00" * 32), ())
    assert [str(request) for request in api.requests[asked:]] == [
        f"GET /users/shop/packages/container/team%2Fweb/versions?per_page=100&page={number}" for number in (1, 2, 3)
    ]


def test_github_refuses_a_token(client: RegistryClient, api: VendorApi) -> None:
    api.answers["GET /users/shop"] = (403, {"message": "Bad credentials t0ken"})
    with pytest.raises(RegistryUnauthorized) as caught:
        github(client, api).delete_manifest(DIGEST, ("a",))
    assert "t0ken" not in caught.value.message
    assert "delete:packages" in (caught.value.hint or "")
