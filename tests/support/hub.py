"""A stand-in for docker.io: the tests' bases in a local registry, and a registries.conf that mirrors to it."""

from __future__ import annotations

from pathlib import Path

from support import services

NAMES = {"busybox": ("busybox:stable", "busybox:latest"), "debian": ("debian:bookworm-slim", "debian:bookworm")}


def fill(registry: str, kind: str, layout: Path) -> None:
    """Push a base under the names that docker.io has it by."""
    for name in NAMES[kind]:
        services.push_layout(layout, f"{registry}/library/{name}")


def write_registries_conf(registry: str, path: Path) -> Path:
    """A registries.conf by which `docker.io/library/NAME` and the short `NAME` come from the local registry."""
    path.write_text(
        'unqualified-search-registries = ["docker.io"]\n'
        f'[[registry]]\nprefix = "docker.io"\nlocation = "{registry}"\ninsecure = true\n'
    )
    return path
