"""The flags that name repositories, registries' manners and the lock service; and what they come to."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from pywerf.build.options import RegistryOptions
from pywerf.cli.declare import flag
from pywerf.cli.registry_flags import docker_config_flag, tls_flags, tls_verify
from pywerf.errors import UsageError

if TYPE_CHECKING:
    from pywerf.build.project.repos import RepoOptions
    from pywerf.registry.access import RegistryAccess

__all__ = ["registry_access", "registry_options", "repo_flags", "repo_flags_but_repo", "repo_options"]

F = TypeVar("F", bound=Callable[..., Any])

_REPO = flag("--repo", metavar="REPO", help="Repository for stages (default: images of the backend).")
_FLAGS: tuple[Callable[[Any], Any], ...] = (
    _REPO,
    flag("--final-repo", metavar="REPO", help="Repository that final images are copied to."),
    flag(
        "--cache-repo",
        "cache_repos",
        multiple=True,
        metavar="REPO",
        help="Repository with copies of stages, read first.",
    ),
    flag("--secondary-repo", "secondary_repos", multiple=True, metavar="REPO", help="Repository to take stages from."),
    tls_flags,
    flag(
        *("--container-registry-mirror", "container_registry_mirrors"),
        multiple=True,
        metavar="HOST[/PATH]",
        help="Mirror of docker.io (embedded engine).",
    ),
    docker_config_flag,
    flag("--synchronization", "-S", metavar="ADDRESS", help="Lock service: :local, http(s)://…, redis://…"),
)


def repo_flags(function: F) -> F:
    """All of them, for a command with the project flags (whose `--home-dir` counts here, too)."""
    for one in reversed(_FLAGS):
        function = one(function)
    return function


def repo_flags_but_repo(function: F) -> F:
    """All but `--repo`, which is taken without effect: for a command that has other names for it."""
    for one in reversed(_FLAGS):
        function = (flag("--repo", hidden=True) if one is _REPO else one)(function)
    return function


def repo_options(flags: Mapping[str, Any]) -> RepoOptions:
    """The repositories that the values of the flags name."""
    from pywerf.build.project.repos import RepoOptions
    from pywerf.util.home import werf_home

    return RepoOptions(
        repo=flags["repo"],
        final_repo=flags["final_repo"],
        cache_repos=tuple(flags["cache_repos"]),
        secondary_repos=tuple(flags["secondary_repos"]),
        synchronization=flags["synchronization"],
        home=os.path.abspath(werf_home(flags["home_dir"])),
    )


def registry_options(flags: Mapping[str, Any]) -> RegistryOptions:
    """How registries are talked to. `--docker-config` counts for all that runs in this process from now on."""
    if flags["docker_config"]:
        for name in ("DOCKER_CONFIG", "WERF_DOCKER_CONFIG"):
            os.environ[name] = os.path.abspath(os.path.expanduser(flags["docker_config"]))
    return RegistryOptions(
        tls_verify=tls_verify(flags["insecure_registry"], flags["skip_tls_verify_registry"]),
        mirrors=tuple(map(_mirror, flags["container_registry_mirrors"])),
    )


def _mirror(text: str) -> str:
    """The `HOST[/PATH]` of a mirror. Raises UsageError."""
    where = text.removeprefix("https://").rstrip("/")
    if "://" in where:
        raise UsageError(
            f"--container-registry-mirror {text}: a mirror is asked by HTTPS", hint="write https://HOST, or HOST alone"
        )
    if not where or any(mark in where for mark in " ?#@"):
        raise UsageError(f"--container-registry-mirror {text}: no HOST[/PATH]")
    return where


def registry_access(options: RegistryOptions) -> RegistryAccess:
    """The way to all registries."""
    from pywerf.registry.access import RegistryAccess
    from pywerf.registry.settings import RegistrySettings

    return RegistryAccess(
        RegistrySettings(tls_verify=options.tls_verify, retries=options.retries, mirrors=options.mirrors)
    )
