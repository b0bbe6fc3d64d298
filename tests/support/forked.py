"""A call in a fork of the test process: for signals, which must never reach pytest, late ones in particular."""

from __future__ import annotations

import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable

__all__ = ["in_a_child"]

PATIENCE = 300  # seconds until a child that hangs is ended: only a failing test waits that long


def in_a_child(call: Callable[[], object]) -> None:
    """Call it in a child, with signals as a program starts with them; an error there fails the test here.

    The child ends without the clean-up of what it has inherited: that is its parent's.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    with warnings.catch_warnings():
        # Newer versions of Python warn of forks while there are threads; the child uses nothing of theirs.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        status = 1
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(PATIENCE)
            call()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status == 0, f"the child failed, see its output: {status}"
