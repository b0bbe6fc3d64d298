"""`buildah unshare`: a command in the engine's user namespace."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pywerf.build.rungs import host_settings, probe_user_namespace
from pywerf.errors import IsolationError, UsageError
from pywerf.isolation.ladder import hint_for
from pywerf.linux.userns import enter_with_one_id
from pywerf.util.home import default_root

if TYPE_CHECKING:
    from pywerf.build.options import EngineOptions

__all__ = ["unshare"]


def unshare(command: Sequence[str], options: EngineOptions) -> int:
    """Run a command as root of the namespace; its exit status (128 + N when signal N ended it).

    Raises UsageError for root, IsolationError when the namespace cannot be made or the program cannot be started.
    """
    if os.geteuid() == 0:
        raise UsageError("unshare is for ordinary users: root needs no user namespace", hint="run the command itself")
    root = os.path.abspath(options.root or default_root())
    attempt = probe_user_namespace(enter=True)
    if not attempt.works and not enter_with_one_id().works:
        raise IsolationError(attempt.reason, hint=hint_for(2, attempt, host_settings()))
    environment = dict(os.environ, WERF_BUILDAH_ROOT=root)
    try:
        pid = os.posix_spawnp(command[0], list(command), environment)
    except FileNotFoundError as error:
        raise IsolationError(f"{command[0]}: no such program") from error
    except OSError as error:
        raise IsolationError(f"{command[0]}: {error.strerror}") from error
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code
