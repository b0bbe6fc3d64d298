"""Flags that concern repositories, as builds take them."""

from __future__ import annotations

import pytest

from pywerf.cli.repo_flags import registry_options
from pywerf.cli.vendor_flags import check_registry_kinds, vendor_secrets
from pywerf.errors import UsageError

NONE = {"insecure_registry": False, "skip_tls_verify_registry": False, "docker_config": ""}


@pytest.mark.parametrize(
    ("text", "location"),
    [
        ("mirror.gcr.io", "mirror.gcr.io"),
        ("https://mirror.gcr.io", "mirror.gcr.io"),
        ("https://cache.example.org:5000/hub/", "cache.example.org:5000/hub"),
    ],
)
def test_mirrors_are_hosts_asked_by_https(text: str, location: str) -> None:
    assert registry_options({**NONE, "container_registry_mirrors": (text,)}).mirrors == (location,)


@pytest.mark.parametrize("text", ["http://mirror.gcr.io", "https://", "ftp://x", "a b", "user@host"])
def test_what_is_no_mirror(text: str) -> None:
    with pytest.raises(UsageError, match="--container-registry-mirror"):
        registry_options({**NONE, "container_registry_mirrors": (text,)})


def kinds(repo: str = "", final: str = "") -> dict[str, str]:
    return {"repo_container_registry": repo, "final_repo_container_registry": final}


def test_kinds_of_registries_are_known_ones() -> None:
    check_registry_kinds(kinds())
    check_registry_kinds(kinds("gitlab", "harbor"))
    with pytest.raises(UsageError, match="--final-repo-container-registry gitlob"):
        check_registry_kinds(kinds("gitlab", "gitlob"))


def test_passwords_for_vendors_are_secrets() -> None:
    names = ("docker_hub_password", "docker_hub_token", "github_token", "quay_token", "harbor_password")
    flags = {f"{repo}_{name}": f"{repo}-{name}" for repo in ("repo", "final_repo") for name in names}
    assert sorted(vendor_secrets(flags)) == sorted(flags.values())
