"""Chooses the view: live on a terminal, plain lines elsewhere, quiet or JSON when asked for."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TextIO

from pywerf.report.events import Reporter
from pywerf.report.verbosity import ProgressMode, Verbosity

__all__ = ["make_reporter", "wants_color"]


def make_reporter(
    mode: ProgressMode,
    stream: TextIO,
    verbosity: Verbosity = "normal",
    *,
    color: bool | None = None,
    stamp: Callable[[], str] | None = None,
    prompts: bool = False,
) -> Reporter:
    """The view for `mode` on `stream`.

    `auto` is the live view on a terminal that can move its cursor, else plain; `quiet` verbosity makes
    `auto` and `plain` quiet. `tty` asked for where there is no terminal falls back to plain.
    `color` None: coloured on a terminal. With `stamp`, which gives what each line begins with, `auto` is plain; so it
    is with `prompts`, where commands ask for something.
    """
    if color is None:
        color = wants_color(stream)
    if mode == "rawjson":
        from pywerf.report.json import JsonReporter

        return JsonReporter(stream, verbosity)
    if mode == "quiet" or (verbosity == "quiet" and mode != "tty"):
        from pywerf.report.quiet import QuietReporter

        return QuietReporter(stream, verbosity, color=color)
    moves = mode == "tty" or (mode == "auto" and verbosity != "debug" and stamp is None and not prompts)
    if moves and _can_move(stream):
        from pywerf.report.tty import TtyReporter

        return TtyReporter(stream, verbosity, color=color)
    from pywerf.report.plain import PlainReporter

    return PlainReporter(stream, verbosity, color=color, stamp=stamp, prompts=prompts)


def wants_color(stream: TextIO) -> bool:
    """Whether `stream` is a terminal and the user has not said NO_COLOR (no-color.org)."""
    return not os.environ.get("NO_COLOR") and _can_move(stream)


def _can_move(stream: TextIO) -> bool:
    try:
        return stream.isatty() and os.environ.get("TERM", "") not in ("", "dumb")
    except ValueError:  # a closed stream
        return False
