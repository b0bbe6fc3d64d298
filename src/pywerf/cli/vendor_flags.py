"""The flags that say what a repository's registry is, and who we are for its vendor's own API: for what deletes.

Builds take them, too, and delete nothing: jobs say them, or set their variables, for all commands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from pywerf.cli.declare import flag

if TYPE_CHECKING:
    from pywerf.registry.deletion import VendorAccess

__all__ = [
    "check_registry_kinds",
    "registry_kinds",
    "vendor_access",
    "vendor_flags",
    "vendor_flags_of_builds",
    "vendor_secrets",
]

F = TypeVar("F", bound=Callable[..., Any])

_SECRETS = ("docker_hub_password", "docker_hub_token", "github_token", "quay_token", "harbor_password")


_NAMES = (
    *("container-registry", "docker-hub-username", "docker-hub-password", "docker-hub-token", "github-token"),
    *("quay-token", "harbor-username", "harbor-password"),
)


def _flags(repo: str) -> Iterator[Callable[[Any], Any]]:
    whose = "final repository" if repo.startswith("final") else "repository"
    kinds = "acr, default, dockerhub, ecr, gcr, github, gitlab, harbor, quay"
    help = f"What the {whose}'s registry is (default: told by its address): {kinds}."
    yield flag(f"--{repo}-container-registry", metavar="KIND", help=help)
    yield flag(f"--{repo}-docker-hub-username", metavar="USER", help=f"User of Docker Hub, to delete in the {whose}.")
    yield flag(f"--{repo}-docker-hub-password", metavar="PASSWORD", help="That user's password.")
    yield flag(f"--{repo}-docker-hub-token", metavar="TOKEN", help="Token of Docker Hub instead of them.")
    yield flag(f"--{repo}-github-token", metavar="TOKEN", help=f"Token of GitHub, to delete in the {whose}.")
    # Quay and Harbor delete by the registry's API, with the credentials of a login
    for name in ("quay-token", "harbor-username", "harbor-password"):
        yield flag(f"--{repo}-{name}", hidden=True)


def vendor_flags(function: F) -> F:
    """Those of `--repo` and of `--final-repo`, for a command."""
    for one in reversed([*_flags("repo"), *_flags("final-repo")]):
        function = one(function)
    return function


def vendor_flags_of_builds(function: F) -> F:
    """The same for a command that deletes nothing: help does not show them."""
    for repo in ("final-repo", "repo"):
        for name in _NAMES[::-1]:
            function = flag(f"--{repo}-{name}", hidden=True)(function)
    return function


def check_registry_kinds(flags: Mapping[str, Any]) -> None:
    """Raise UsageError for kinds of registries that there are not."""
    for repo, kind in zip(("repo", "final-repo"), registry_kinds(flags), strict=True):
        if kind:
            from pywerf.registry.deletion import registry_kind

            registry_kind("", kind, f"--{repo}-container-registry")


def registry_kinds(flags: Mapping[str, Any]) -> tuple[str, str]:
    """What the registries of the repository and of the final one are said to be; empty: by their addresses."""
    return flags["repo_container_registry"], flags["final_repo_container_registry"]


def vendor_access(flags: Mapping[str, Any], repo: str = "repo") -> VendorAccess:
    """Who we are for the vendor of `repo` or `final_repo`."""
    from pywerf.registry.deletion import VendorAccess

    return VendorAccess(
        hub_username=flags[f"{repo}_docker_hub_username"],
        hub_password=flags[f"{repo}_docker_hub_password"],
        hub_token=flags[f"{repo}_docker_hub_token"],
        github_token=flags[f"{repo}_github_token"],
    )


def vendor_secrets(flags: Mapping[str, Any]) -> list[str]:
    """What of the flags must not be printed."""
    return [value for repo in ("repo", "final_repo") for name in _SECRETS if (value := flags[f"{repo}_{name}"])]
