"""The directory for what is kept between runs and belongs to no store: locks, git mirrors, memories."""

from __future__ import annotations

import os

__all__ = ["werf_home"]


def werf_home(given: str = "") -> str:
    """The directory `given` (`--home-dir`), else `WERF_HOME`, else `~/.werf`."""
    return os.path.expanduser(given or os.environ.get("WERF_HOME") or "~/.werf")
