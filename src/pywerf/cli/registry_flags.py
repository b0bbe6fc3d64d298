"""Flags of the commands of projects that concern registries: certificates, docker's configuration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from pywerf.cli.declare import flag, switch

__all__ = ["docker_config_flag", "tls_flags", "tls_verify"]

F = TypeVar("F", bound=Callable[..., Any])


def docker_config_flag(function: F) -> F:
    """`--docker-config`."""
    return flag(
        "--docker-config",
        env=("DOCKER_CONFIG",),
        metavar="DIR",
        help="Directory of docker's config.json (default: ~/.docker).",
    )(function)


def tls_flags(function: F) -> F:
    """`--insecure-registry` and `--skip-tls-verify-registry`; `tls_verify` says what they come to."""
    for add in (
        switch("--skip-tls-verify-registry", help="Do not verify certificates of registries."),
        switch("--insecure-registry", help="Registries may answer in plain HTTP."),
    ):
        function = add(function)
    return function


def tls_verify(insecure: bool, skip: bool) -> bool | None:
    """False where HTTPS or its certificates are not needed, None for the defaults.

    Either flag does: a client that takes any certificate is told as little of its registry by HTTPS as by HTTP.
    """
    return False if insecure or skip else None
