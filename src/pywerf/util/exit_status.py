"""How a command ended, in words, and what its exit status mostly means."""

from __future__ import annotations

__all__ = ["ending", "status_hint"]


def ending(status: int) -> str:
    """`exit code 3`, or the signal that a shell would tell of with 128 + N."""
    if 128 < status < 193:
        import signal

        try:
            return f"killed by {signal.Signals(status - 128).name} (exit code {status})"
        except ValueError:
            pass
    return f"exit code {status}"


def status_hint(status: int) -> str | None:
    """What is worth looking at, for the statuses that say something."""
    if status == 127:
        return "127 mostly means that a command was not found in the image"
    if status == 126:
        return "126 mostly means that a file is not executable, or has another machine's architecture"
    if status == 137:
        return "137 is SIGKILL: often the kernel was out of memory"
    return None
