"""`werf host cleanup` in the background after a build, where a volume is fuller than allowed.

That it is not has to be told for next to nothing: a system call a volume, and no import.
"""

from __future__ import annotations

import os

from pywerf.cli.declare import flag, switch
from pywerf.cli.values import VOLUME_MARGIN, VOLUME_USAGE, volume_flags

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any, TypeVar

    from pywerf.cli.invocation import Invocation

    F = TypeVar("F", bound=Callable[..., Any])

__all__ = [
    "auto_cleanup_flags",
    "cache_volume_flags",
    "check_cleanup_flags",
    "clean_host_after",
    "clean_store_after",
    "disable_flag",
]

_BACKEND = "allowed_backend_storage_volume_usage"
_CACHE = "allowed_local_cache_volume_usage"
_DOCKER = "/var/lib/docker"  # where a daemon keeps its images, unless it was told another place


def disable_flag(function: F) -> F:
    """`--disable-auto-host-cleanup`."""
    return switch("--disable-auto-host-cleanup", help="Do not start `werf host cleanup` after the build.")(function)


def cache_volume_flags(function: F) -> F:
    """`--allowed-local-cache-volume-usage` and its margin."""
    name = "--allowed-local-cache-volume-usage"
    for add in (
        flag(f"{name}-margin", default=VOLUME_MARGIN, metavar="PERCENT|SIZE", help="How far below that cleanups go."),
        flag(name, default=VOLUME_USAGE, metavar="PERCENT|SIZE", help="How full the volume of the caches may be."),
    ):
        function = add(function)
    return function


def auto_cleanup_flags(function: F) -> F:
    """All flags of a build of a project that concern the cleanup after it."""
    path = flag(
        "--backend-storage-path",
        "--docker-server-storage-path",
        metavar="DIR",
        help="Where the Docker daemon keeps images (default: it is asked).",
    )
    return disable_flag(volume_flags(cache_volume_flags(path(function))))


def check_cleanup_flags(flags: Mapping[str, Any]) -> None:
    """Raise UsageError for limits that are none, before anything is built."""
    for name in (_BACKEND, _CACHE):
        if name in flags and _values(flags, name) != (VOLUME_USAGE, VOLUME_MARGIN):
            from pywerf.build.limits import volume_limit

            volume_limit(*_values(flags, name), f"--{name.replace('_', '-')}")


def clean_store_after(root: str, flags: Mapping[str, Any]) -> None:
    """After a build by the embedded engine alone: start the cleanup of its store, at most once an hour."""
    if not flags["disable_auto_host_cleanup"] and _is_over([root], flags, _BACKEND):
        from pywerf.build.limits import start_in_background

        start_in_background(root, *_values(flags, _BACKEND))


def clean_host_after(run: Invocation, flags: Mapping[str, Any]) -> Callable[[], None]:
    """What starts a cleanup of all that this machine has, at most once an hour: to be called after the build.

    It is to be asked for before: a build may go on as another user, in a namespace.
    """
    if flags["disable_auto_host_cleanup"]:
        return lambda: None
    from pywerf.util.home import default_root, werf_home

    home, root = os.path.abspath(werf_home(flags["home_dir"])), os.path.abspath(run.engine.root or default_root())

    def clean() -> None:
        images = [root, flags["backend_storage_path"] or _DOCKER]
        if not _is_over(images, flags, _BACKEND) and not _is_over([home], flags, _CACHE):
            return
        from pywerf.build.limits import start_host_cleanup

        argv = ["--home-dir", home, *(["--root", root] if os.path.isdir(root) else [])]
        if run.engine.mode:
            argv += ["--buildah-mode", run.engine.mode]
        for name in (_BACKEND, f"{_BACKEND}_margin", _CACHE, f"{_CACHE}_margin", "backend_storage_path"):
            if flags[name]:
                argv += [f"--{name.replace('_', '-')}", flags[name]]
        start_host_cleanup(home, argv)

    return clean


def _values(flags: Mapping[str, Any], name: str) -> tuple[str, str]:
    return flags[name], flags[f"{name}_margin"]


def _is_over(paths: Iterable[str], flags: Mapping[str, Any], name: str) -> bool:
    """Whether the volume of one of the paths that are there is fuller than allowed."""
    values = _values(flags, name)
    limit = None
    for path in paths:
        try:
            facts = os.statvfs(path)
        except OSError:
            continue
        if values[0] == VOLUME_USAGE:
            if (facts.f_blocks - facts.f_bfree) * 100 > facts.f_blocks * int(VOLUME_USAGE):
                return True
            continue
        if limit is None:
            from pywerf.build.limits import volume_limit

            limit = volume_limit(*values, f"--{name.replace('_', '-')}")
        if limit.over(path):
            return True
    return False
