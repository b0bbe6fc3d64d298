"""How much is told: the four levels of `--log-quiet`, the default, `--log-verbose`, `--log-debug`."""

from __future__ import annotations

from typing import Literal

from pywerf.report.events import Level

__all__ = ["ProgressMode", "Verbosity", "shows"]

Verbosity = Literal["quiet", "normal", "verbose", "debug"]
ProgressMode = Literal["auto", "plain", "tty", "quiet", "rawjson"]


def shows(verbosity: Verbosity, level: Level) -> bool:
    """Whether a message of `level` is shown. Warnings and errors always are."""
    if level == "debug":
        return verbosity == "debug"
    return level != "info" or verbosity != "quiet"
