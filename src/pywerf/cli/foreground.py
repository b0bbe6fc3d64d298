"""Programs that a command hands its terminal to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pywerf.errors import WerfError

__all__ = ["run_here"]


def run_here(words: Sequence[str], *, missing: WerfError, env: Mapping[str, str] | None = None) -> int:
    """Run a program on our own descriptors, to its end: its status, 128 + N when signal N ended it.

    A signal that would end us ends the program first. Raises `missing` where there is no such program.
    """
    import subprocess

    try:
        process = subprocess.Popen(words, env=env)
    except (FileNotFoundError, PermissionError):
        raise missing from None
    try:
        status = process.wait()
    except KeyboardInterrupt as stop:
        # the program ends what it has started; Ctrl-C has reached it as well as us
        if getattr(stop, "signum", 2) != 2:
            process.terminate()
        process.wait()
        raise
    return 128 - status if status < 0 else status
