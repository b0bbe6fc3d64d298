"""Where a user's things are: the store, and a directory for what belongs to none (locks, git mirrors, memories)."""

from __future__ import annotations

import os

__all__ = ["default_root", "werf_home"]


def werf_home(given: str = "") -> str:
    """The directory `given` (`--home-dir`), else `WERF_HOME`, else `~/.werf`."""
    return os.path.expanduser(given or os.environ.get("WERF_HOME") or "~/.werf")


def default_root() -> str:
    """Where the store is when nobody says otherwise: /var/lib/pywerf for root, else $XDG_DATA_HOME/pywerf."""
    if os.geteuid() == 0:
        return "/var/lib/pywerf"
    data = os.environ.get("XDG_DATA_HOME", "")
    if not data.startswith("/"):  # relative ones are to be ignored (XDG Base Directory Specification)
        data = os.path.expanduser("~/.local/share")
    return f"{data}/pywerf"
