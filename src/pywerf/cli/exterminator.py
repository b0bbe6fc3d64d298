"""WERF_ENABLE_PROCESS_EXTERMINATOR: `werf` ends when the process that has started it does.

For CI that ends a cancelled job by killing its shell, and tells nobody below. `werf ci-env` sets the variable.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import FrameType

__all__ = ["VARIABLE", "end_with_parent"]

VARIABLE = "WERF_ENABLE_PROCESS_EXTERMINATOR"
_NO = ("", "0", "f", "false", "n", "no", "off")


def end_with_parent(environ: Mapping[str, str]) -> None:
    """Where the variable asks for it, stop as at SIGTERM once the parent process is gone. Linux only.

    Nothing waits or looks: the kernel tells (PR_SET_PDEATHSIG, prctl(2)). It does so too when only the thread has ended
    that has started us; then we still have our parent.
    """
    if sys.platform != "linux" or environ.get(VARIABLE, "").strip().lower() in _NO:
        return
    import signal

    from pywerf.linux import syscalls

    parent = os.getppid()

    def look(signum: int, frame: FrameType | None) -> None:
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGTERM)

    signal.signal(signal.SIGALRM, look)
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGALRM)
