"""The supervisor of a container: answers the system calls that its processes wait in (seccomp_unotify(2)).

A process of the launcher's, outside of the container's pid namespace: nothing in the container sees or reaches it. It
is started with the first call. When it ends, the launcher ends the container; meanwhile the kernel fails the calls.
"""

from __future__ import annotations

import errno
import os
import sys as interpreter

from pywerf.linux import notify
from pywerf.linux import syscalls as sys
from pywerf.linux.seccomp import AUDIT_ARCH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Handler = Callable[[int, int, tuple[int, ...]], int | None]

__all__ = ["CONTINUE", "Answered", "supervise"]

CONTINUE = None  # a handler's answer: the kernel shall execute the call
_GONE = frozenset((errno.ENOENT, errno.ESRCH))


class Answered(Exception):
    """A handler has answered the call itself."""


def supervise(listener: int, mount_namespace: int, settings: dict[str, Any]) -> None:
    """Answer until the container has ended: the launcher ends this process then.

    `settings` are the plan's: see `pywerf.isolation.plan`. Enters the container's mount namespace and root.
    """
    if settings["everything"]:
        from pywerf.linux.ownership import Ownership

        handlers = Ownership(listener, settings).handlers()
    else:
        from pywerf.linux.nodes import Nodes

        handlers = Nodes(listener, settings).handlers()
    sys.unshare(sys.CLONE_NEWNS)  # file systems are made in a mount namespace of one's own user namespace
    proc = notify.fresh_proc()
    # From here on a module that is imported would be the container's.
    interpreter.meta_path.clear()
    sys.setns(mount_namespace, sys.CLONE_NEWNS)
    os.fchdir(proc)
    os.close(proc)
    os.close(mount_namespace)
    os.umask(0)
    notify.wake_at_once(listener)
    _serve(listener, handlers, AUDIT_ARCH[settings["machine"]])


def _serve(listener: int, handlers: dict[int, Handler], own_abi: int) -> None:
    receive, let_continue, reply = notify.receive, notify.let_continue, notify.reply
    while True:
        try:
            ident, pid, _, number, abi, _, *arguments = receive(listener)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.EINTR):
                continue  # it died, or was interrupted, while this was called
            raise
        failure, value = 0, None
        try:
            # The filters of OCI runtimes ask about programs of other ABIs, too, whose numbers mean other calls.
            if abi == own_abi and number in handlers:
                value = handlers[number](ident, pid, tuple(arguments))
        except Answered:
            continue
        except OSError as error:
            failure = error.errno or errno.EIO
        try:
            if failure:
                reply(listener, ident, 0, failure)
            elif value is None:
                let_continue(listener, ident)
            else:
                reply(listener, ident, value, 0)
        except OSError as error:
            if error.errno not in _GONE:
                raise
