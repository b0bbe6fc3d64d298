"""`werf synchronization`: a lock server for the builders of many hosts."""

from __future__ import annotations

import sys

from pywerf.cli.declare import declared, flag, switch
from pywerf.cli.invocation import Invocation, log_flags
from pywerf.errors import UsageError

__all__ = ["command"]


@declared("synchronization")
@flag("--host", default="localhost", show_default=True, help="The address to listen on.")
@flag("--port", default="55581", show_default=True, help="The port to listen on.")
@switch("--local", default=True, show_default=True, help="Keep the locks in a database on this host.")
@flag("--local-lock-manager-base-dir", metavar="DIR", help="The database's folder (~/.werf/synchronization_server).")
@switch("--kubernetes", help="Not supported: the locks are kept in a database.")
@flag("--ttl", hidden=True)
@log_flags
def command(
    run: Invocation, /, host: str, port: str, local: bool, local_lock_manager_base_dir: str, kubernetes: bool, ttl: str
) -> int:
    """Serve locks to builders that publish to one repository, until it is interrupted.

    Builders name it by `--synchronization http://HOST:PORT`. What is locked survives a restart of the server.
    """
    import os

    from pywerf.locks.server import LockServer
    from pywerf.locks.table import LeaseTable
    from pywerf.util.home import werf_home

    if kubernetes or not local:
        raise UsageError("locks are kept in a database on this host alone", hint="leave --kubernetes and --local out")
    if not (port.isascii() and port.isdigit() and int(port) < 65536):
        raise UsageError(f"--port {port!r} is no port number")
    folder = local_lock_manager_base_dir or os.path.join(werf_home(), "synchronization_server")
    server = LockServer(LeaseTable(os.path.join(folder, "locks.sqlite")), host, int(port))
    try:
        print(f"serving locks on {server.address}", file=sys.stderr)
        server.serve()
    finally:
        server.close()
    return 0
